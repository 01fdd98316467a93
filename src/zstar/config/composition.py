"""Changes to Hydra's composition of configurations, all of them behind one guard.

Composing a configuration takes Hydra a tenth of a second and more, and a sweep composes one for each of its cells: here
nothing is composed twice (``zstar.config.memory``), and a cell that can't be composed fails as any other cell does.
"""

from collections.abc import Sequence
from contextlib import suppress

import hydra
from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, MissingConfigException
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, open_dict

from zstar.config.memory import choose_once, merge_once, parse_once, read_once, share_sources, tell_where_asked
from zstar.config.messages import explain

TESTED = "1.3.8"  # of Hydra
IMPOSSIBLE = "impossible"  # the key that says of a cell why it can't be composed

_compose = ConfigLoaderImpl.load_sweep_config


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
    OverridesParser.parse_rule = parse_once
    config_loader_impl.create_defaults_list = choose_once
    defaults_list._create_interpolation_map = tell_where_asked
    ConfigLoaderImpl._compose_config_from_defaults_list = merge_once
    ConfigLoaderImpl.load_sweep_config = compose_or_explain
    Sweeper.validate_batch_is_legal = validate_new_words
    return True


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
