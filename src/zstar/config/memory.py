"""Hydra's composition with a memory: words are parsed, files read and configurations with the same choices merged once.

Each function stands for the one of Hydra that it calls, and is put in its place by ``zstar.config.composition``.
"""

import copy
import pickle
from collections.abc import Hashable
from importlib.resources import files
from pathlib import Path
from typing import Any

from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository, IConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.default_element import InputDefault, ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

KEPT = 1000  # of each kind, some ten kilobytes each

_parse = OverridesParser.parse_rule
_read = ConfigRepository.load_config
_choose = config_loader_impl.create_defaults_list
_tell = defaults_list._create_interpolation_map
_merge = ConfigLoaderImpl._compose_config_from_defaults_list
_words: dict[Hashable, bytes] = {}
_files: dict[Hashable, bytes] = {}
_chosen: dict[Hashable, bytes] = {}
_merged: dict[Hashable, bytes] = {}


def read_once(self: ConfigRepository, config_path: str) -> ConfigResult | None:
    """Read and parse a file of the configuration, unless it was read before and has not changed since."""
    if (key := stamp(self, config_path)) is None:
        return _read(self, config_path)
    if key not in _files:
        try:
            keep(_files, key, _read(self, config_path))
        except (YAMLError, UnicodeDecodeError) as error:
            raise HydraException(f"{config_path}: this file of options is no YAML in UTF-8 ({error})") from None
    return pickle.loads(_files[key])


def parse_once(self: OverridesParser, s: str, rule_name: str) -> Any:
    """Parse a word of the command line, unless the same one was parsed before."""
    if rule_name != "override":
        return _parse(self, s, rule_name)
    if s not in _words:
        keep(_words, s, _parse(self, s, rule_name))
    return pickle.loads(_words[s])


def share_sources(self: CachingConfigRepository, delegate: Any) -> None:
    """Begin a composition without a copy of all that Hydra has stored, which it makes for the list of sources alone."""
    self.delegate, self.cache = copy.copy(delegate), {}
    self.delegate.sources = list(delegate.sources)


def stamp(repo: Any, config_path: str) -> Hashable | None:
    """The place, time and size of a file of the configuration; ``None`` for what is no file."""
    source = getattr(repo, "delegate", repo)._find_object_source(config_path, ObjectType.CONFIG)
    if source is None or source.scheme() not in ("file", "pkg"):
        return None
    root = files(source.path) if source.scheme() == "pkg" else source.path
    found = Path(str(root), ConfigSource._normalize_file_name(config_path)).stat()
    return source.provider, source.scheme(), source.path, config_path, found.st_mtime_ns, found.st_size


def tell_where_asked(overrides: Overrides, defaults: list[InputDefault], self_added: bool) -> DictConfig:
    """The choices that names in a defaults list may refer to: nothing where none of them does, as nearly everywhere."""
    asked = any("${" in str(vars(default)) for default in defaults)
    return _tell(overrides, defaults, self_added) if asked else OmegaConf.create()


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
        merged = _merge(self, defaults, repo)
        try:
            keep(_merged, defaults.key, merged)
        except pickle.PicklingError:  # settings of a launcher, whose module Hydra has loaded twice
            return merged
    return pickle.loads(_merged[defaults.key])


def keep(memory: dict[Hashable, bytes], key: Hashable, value: Any) -> None:
    """Remember a value as bytes, which copy faster than it does; the oldest makes room."""
    if key not in memory and len(memory) >= KEPT:
        del memory[next(iter(memory))]
    memory[key] = pickle.dumps(value)
