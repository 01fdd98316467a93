"""Objects from a configuration: ``build`` and ``offer`` make them, ``to_plain`` records what they were made from."""

import functools
import inspect
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from zstar.config.check import Config, ConfigError, is_settled
from zstar.config.keys import naming
from zstar.config.signatures import resolve


def build(cfg: Config | None, *args: Any, at: str | None = None, **objects: Any) -> Any:
    """Make what ``cfg._target_`` names; ``objects`` come from the program and win over the keys of ``cfg``.

    The objects are handed over as they are (never copied or merged), and lists and mappings of ``cfg`` arrive as plain
    Python. With ``_partial_: true`` the result is a factory; without a configuration it is ``None``.

    Arguments:
        at: The key of ``cfg``, so that errors about its arguments name it.

    Errors: ``ConfigError`` if there is no ``_target_``; what the constructor itself raises passes through.
    """
    if cfg is None:
        return None
    if not isinstance(cfg, Mapping | DictConfig) or "_target_" not in cfg:
        raise ConfigError(f"{cfg}: there is nothing to build here; give it a _target_")
    node, flags = cfg, {"_convert_": "all", "_partial_": True}
    if isinstance(cfg, dict):
        node, flags = {**cfg, **flags}, {}  # which spares Hydra a merge
    with naming(at, cfg["_target_"]):
        try:
            factory = hydra.utils.instantiate(node, **flags)
        except InstantiationException as error:  # of a nested target: its own error says it better
            raise error.__cause__ or error from None
        if cfg.get("_partial_", False):
            return functools.partial(factory, *args, **objects)
        return factory(*args, **objects)


def offer(cfg: Config, at: str | None = None, **objects: Any) -> Any:
    """Like ``build``, handing over only those ``objects`` that the signature of the target asks for.

    For groups whose members need different things of the program: a folder of photos needs the generator's size, a
    procedural data set needs nothing.
    """
    parameters = inspect.signature(resolve(cfg["_target_"])).parameters
    return build(cfg, at=at, **{name: value for name, value in objects.items() if name in parameters})


def to_plain(cfg: Config) -> dict[str, Any]:
    """The configuration as resolved, plain Python containers: what logs, results and checkpoints receive.

    Errors: ``ConfigError`` that names the first key whose value is still ``???``.
    """
    if isinstance(cfg, dict) and is_settled(cfg):
        return deepcopy(cfg)
    node = cfg if OmegaConf.is_config(cfg) else OmegaConf.create(cfg)
    try:
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key}: has no value; set {error.full_key}=…") from None
