"""From configuration to objects: ``build`` makes them, ``check`` finds mistakes first, ``to_plain`` records them."""

import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from zstar.signatures import UnknownTarget, Unreadable, annotations, fits, in_yaml, nearest, resolve, show

Config = DictConfig | Mapping[str, Any]
MULTI_SELECT = ("loss", "regularizer", "projector", "metric")
RESERVED = ("_target_", "_args_", "_partial_", "_convert_", "_recursive_")


class ConfigError(ValueError):
    """What is wrong with a configuration: one line per problem, each with its key and, where there is one, the fix."""


def build(cfg: Config | None, *args: Any, **objects: Any) -> Any:
    """Make what ``cfg._target_`` names; ``objects`` come from the program and win over the keys of ``cfg``.

    The objects are handed over as they are (never copied or merged), and lists and mappings of ``cfg`` arrive as plain
    Python. With ``_partial_: true`` the result is a factory; without a configuration it is ``None``.

    Errors: ``ConfigError`` if there is no ``_target_``; what the constructor itself raises passes through.
    """
    if cfg is None:
        return None
    if not isinstance(cfg, Mapping | DictConfig) or "_target_" not in cfg:
        raise ConfigError(f"{cfg}: there is nothing to build here; give it a _target_")
    try:
        factory = hydra.utils.instantiate(cfg, _convert_="all", _partial_=True)
    except InstantiationException as error:  # of a nested target: its own error says it better
        raise error.__cause__ or error from None
    if cfg.get("_partial_", False):
        return functools.partial(factory, *args, **objects)
    return factory(*args, **objects)


def offer(cfg: Config, **objects: Any) -> Any:
    """Like ``build``, handing over only those ``objects`` that the signature of the target asks for.

    For groups whose members need different things of the program: a folder of photos needs the generator's size, a
    procedural data set needs nothing.
    """
    parameters = inspect.signature(resolve(cfg["_target_"])).parameters
    return build(cfg, **{name: value for name, value in objects.items() if name in parameters})


def to_plain(cfg: Config) -> dict[str, Any]:
    """The configuration as resolved, plain Python containers: what logs, results and checkpoints receive.

    Errors: ``ConfigError`` that names the first key whose value is still ``???``.
    """
    try:
        return OmegaConf.to_container(OmegaConf.create(cfg), resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key}: has no value; set {error.full_key}=…") from None


def check(cfg: Config) -> None:
    """Compare every ``_target_`` node with the signature of its target, without building anything.

    Errors: one ``ConfigError`` with all problems: unknown targets, unknown or missing arguments, values of the wrong
    type, values still ``???``, and entries of a multi-select group that have values but were not chosen.
    """
    problems: list[str] = []
    plain = _read(cfg if OmegaConf.is_config(cfg) else OmegaConf.create(cfg), "", problems)
    for group in MULTI_SELECT:
        problems += _orphans(group, plain.get(group))
    for key, node in _nodes(plain, ""):
        problems += _check_node(key, node)
    if problems:
        raise ConfigError("\n".join(problems))


def _read(node: Any, key: str, problems: list[str]) -> Any:
    """Plain, resolved containers; values that can't be read are reported and replaced by ``Unreadable``."""
    if not isinstance(node, DictConfig | ListConfig) or node._is_none():
        return node
    plain: dict[Any, Any] = {}
    for name in list(node) if isinstance(node, DictConfig) else range(len(node)):
        path = f"{key}.{name}" if key else str(name)
        plain[name] = Unreadable
        if OmegaConf.is_missing(node, name):
            problems.append(f"{path}: has no value; set {path}=…")
            continue
        try:
            plain[name] = _read(node[name], path, problems)
        except OmegaConfBaseException as error:
            problems.append(f"{path}: {str(error).splitlines()[0]}")
    return plain if isinstance(node, DictConfig) else list(plain.values())


def _nodes(value: Any, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with a ``_target_``, with its key, parents first."""
    if isinstance(value, Mapping) and "_target_" in value:
        yield key, value
    children = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        yield from _nodes(child, f"{key}.{name}" if key else str(name))


def _orphans(group: str, entries: Any) -> Iterator[str]:
    """Entries of a multi-select group that a method or the command line gave values to, but nobody chose."""
    if not isinstance(entries, Mapping) or "_target_" in entries:
        return
    chosen = [name for name, entry in entries.items() if isinstance(entry, Mapping) and "_target_" in entry]
    for name in entries:
        if name not in chosen and entries[name] is not None:
            choice = ",".join([*chosen, name])
            yield f"{group}.{name}: '{name}' has values but was not chosen; add it: {group}=[{choice}], or drop them"


def _check_node(key: str, node: dict[str, Any]) -> Iterator[str]:
    try:
        target = resolve(node["_target_"])
        parameters = inspect.signature(target).parameters.values()
    except UnknownTarget as error:
        yield f"{key}._target_: {error}"
        return
    except (TypeError, ValueError):  # built-in functions without a signature: nothing to compare with
        return
    name = getattr(target, "__name__", node["_target_"])
    if inspect.isabstract(target):
        yield f"{key}._target_: {name} is abstract; choose one of the classes derived from it"
    named = {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    positional = node.get("_args_") or []
    if len(positional) > len(named) and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        yield f"{key}._args_: {name} takes at most {len(named)} arguments, not {len(positional)}"
    given = dict(zip(named, positional, strict=False)) | {k: v for k, v in node.items() if k not in RESERVED}
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for unknown in [argument for argument in given if argument not in named]:
            yield f"{key}.{unknown}: {name} has no argument '{unknown}'; {nearest(unknown, named)}"
    hints = annotations(target)
    for argument, parameter in named.items():
        hint = hints.get(argument, parameter.annotation)
        if argument in given and not fits(given[argument], hint):
            yield f"{key}.{argument}: {name} expects {show(hint)}, not {given[argument]!r}"
        required = parameter.default is parameter.empty and not node.get("_partial_", False)
        if required and argument not in given and in_yaml(hint):
            yield f"{key}.{argument}: {name} needs this argument ({show(hint)}); set {key}.{argument}=…"
