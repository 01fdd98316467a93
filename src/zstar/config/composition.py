"""What this project changes inside Hydra, all of it behind one guard.

Composing a configuration takes Hydra a tenth of a second and more, and a sweep composes one for each of its cells. Here
files are read once, configurations with the same choices are merged once, and a cell that can't be composed fails as
any other cell does.
"""

import copy
import pickle
from collections.abc import Hashable, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import hydra
from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository, IConfigRepository
from hydra._internal.defaults_list import DefaultsList
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, MissingConfigException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, open_dict

from zstar.config.messages import explain

TESTED = "1.3.8"  # of Hydra
IMPOSSIBLE = "impossible"  # the key that says of a cell why it can't be composed
KEPT = 1000  # of each kind, some ten kilobytes each

_read = ConfigRepository.load_config
_choose = config_loader_impl.create_defaults_list
_merge = ConfigLoaderImpl._compose_config_from_defaults_list
_compose = ConfigLoaderImpl.load_sweep_config
_files: dict[Hashable, bytes] = {}
_chosen: dict[Hashable, bytes] = {}
_merged: dict[Hashable, bytes] = {}


def adapt_hydra() -> bool:
    """Change Hydra where it is the version that these changes were tested with; with any other it stays as it is.

    Without them a sweep is slower, and a cell that can't be composed ends it before its first cell.

    Returns:
        Whether Hydra is changed.
    """
    if hydra.__version__ != TESTED:
        return False
    ConfigRepository.load_config = read_once
    CachingConfigRepository.__init__ = share_sources
    config_loader_impl.create_defaults_list = choose_once
    ConfigLoaderImpl._compose_config_from_defaults_list = merge_once
    ConfigLoaderImpl.load_sweep_config = compose_or_explain
    Sweeper.validate_batch_is_legal = validate_new_words
    return True


def read_once(self: ConfigRepository, config_path: str) -> ConfigResult | None:
    """Read and parse a file of the configuration, unless it was read before and has not changed since."""
    if (key := stamp(self, config_path)) is None:
        return _read(self, config_path)
    if key not in _files:
        keep(_files, key, _read(self, config_path))
    return pickle.loads(_files[key])


def share_sources(self: CachingConfigRepository, delegate: IConfigRepository) -> None:
    """Begin a composition without a copy of all that Hydra has stored, which it makes for the list of sources alone."""
    self.delegate, self.cache = copy.copy(delegate), {}
    self.delegate.sources = list(delegate.sources)


def stamp(repo: IConfigRepository, config_path: str) -> Hashable | None:
    """What a file of the configuration is told by, with its time and size; ``None`` for what is no file."""
    source = getattr(repo, "delegate", repo)._find_object_source(config_path, ObjectType.CONFIG)
    if source is None or source.scheme() not in ("file", "pkg"):
        return None
    root = files(source.path) if source.scheme() == "pkg" else source.path
    found = Path(str(root), ConfigSource._normalize_file_name(config_path)).stat()
    return source.provider, source.scheme(), source.path, config_path, found.st_mtime_ns, found.st_size


class Defaults(list[ResultDefault]):
    """A defaults list, and the key of what it was made from."""

    key: Hashable


def choose_once(
    repo: CachingConfigRepository,
    config_name: str | None,
    overrides_list: list[Override],
    prepend_hydra: bool,
    skip_missing: bool,
) -> DefaultsList:
    """Find which files the choices among ``overrides_list`` lead to, unless the same ones were chosen before and no
    file has changed since. Other overrides are values, and lead nowhere."""
    words = [word for word in overrides_list if not word.is_sweep_override()]
    choices = [word for word in words if repo.group_exists(word.key_or_group) and not isinstance(word.value(), dict)]
    sources = tuple((source.provider, source.path) for source in repo.get_sources())
    key: Hashable = (config_name, prepend_hydra, skip_missing, tuple(word.input_line for word in choices), sources)
    stamps, found = pickle.loads(_chosen[key]) if key in _chosen else ({"": ""}, None)
    if any(stamp(repo, path) != seen for path, seen in stamps.items()):
        found = _choose(repo, config_name, choices, prepend_hydra, skip_missing)
        stamps = {path: stamp(repo, path) for path in (name.partition("=")[2] for name in repo.cache)}
        keep(_chosen, key, (stamps, found))
    found.defaults = Defaults(found.defaults)
    found.defaults.key = (key, tuple(stamps.items()))
    found.config_overrides = [word for word in words if word not in choices]
    return found


def merge_once(self: ConfigLoaderImpl, defaults: Defaults, repo: IConfigRepository) -> DictConfig:
    """Merge the files of a defaults list, unless the same ones were merged before."""
    if defaults.key not in _merged:
        keep(_merged, defaults.key, _merge(self, defaults, repo))
    return pickle.loads(_merged[defaults.key])


def keep(memory: dict[Hashable, bytes], key: Hashable, value: Any) -> None:
    """Remember a value as bytes, which copy faster than it does; the oldest makes room."""
    if key not in memory and len(memory) >= KEPT:
        del memory[next(iter(memory))]
    memory[key] = pickle.dumps(value)


def compose_or_explain(self: ConfigLoaderImpl, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
    """Compose a cell; one that can't be composed gets what can, and the reason under the key ``IMPOSSIBLE``.

    What is wrong with every cell still ends the sweep: options that don't exist, and keys that no other choice brings.
    """
    try:
        return _compose(self, master_config, sweep_overrides)
    except MissingConfigException:
        raise
    except ConfigCompositionException as error:
        _compose(self, master_config, [w for w in sweep_overrides if w in list(master_config.hydra.overrides.task)])
        words: list[str] = []
        for word in sorted(sweep_overrides, key=lambda word: "." in word.partition("=")[0]):  # choices come first
            with suppress(ConfigCompositionException):
                cfg = _compose(self, master_config, [*words, word])
                words.append(word)
        with open_dict(cfg):
            cfg.hydra.overrides.task = sweep_overrides
            cfg[IMPOSSIBLE] = explain(error, sweep_overrides)
        return cfg


def validate_new_words(self: Sweeper, batch: Sequence[Sequence[str]]) -> None:
    """Compose, before the first cell, those cells with a choice or a key that no cell before them has.

    Hydra composes all of them, each a second time when its turn comes, which takes longer than many a cell: a value
    beside another of the same key fails no composition.
    """
    loader, choices, known = self.hydra_context.config_loader, {}, set()
    place = {"config_name": self.config.hydra.job.config_name, "overrides": list(self.config.hydra.overrides.hydra)}

    def word(override: str) -> str:
        key = override.partition("=")[0]
        if key not in choices:
            choices[key] = bool(loader.get_group_options(key.lstrip("+~").partition("@")[0], **place))
        return override if choices[key] else key

    for overrides in batch:
        words = {word(override) for override in overrides}
        if not words <= known:
            loader.load_sweep_config(self.config, list(overrides))
            known |= words
