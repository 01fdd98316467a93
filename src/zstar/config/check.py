"""Validation of a configuration against the signatures of the classes that it names."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zstar.config.signatures import (
    PRIMITIVES,
    UnknownTarget,
    Unreadable,
    annotations,
    fits,
    in_yaml,
    nearest,
    resolve,
    show,
)

MULTI_SELECT = (
    "loss", "operator", "regularizer", "adversary", "projector", "metric", "edit", "direction", "editability",
    "analysis", "sweep", "postprocess",
)  # fmt: skip
SHARD = ("shard", "shards")  # of data: the program's part of any data set, which no class of them knows
CLASSES = "classes"  # of data, likewise: a table with the class of each image
STYLES = "styles"  # of data, likewise: pictures, each of which stands beside every image in turn
COMPANIONS = ("mask", "style", "source", "background", "strokes")  # of data, likewise: targets besides the image
STROKES = (  # targets in data.strokes, each with the map that belongs to it
    "color_strokes", "color_mask", "sketch", "sketch_mask", "warp", "warp_mask", "points", "movable_mask",
)  # fmt: skip
RESERVED = ("_target_", "_args_", "_partial_", "_convert_", "_recursive_")

Config = DictConfig | Mapping[str, Any]


class ConfigError(ValueError):
    """Problems of a configuration: one line for each, with its key and, where there is one, the fix."""


def check(cfg: Config, settings: type | None = None) -> None:
    """Compare every ``_target_`` node with the signature of its target, without building anything.

    Arguments:
        cfg: A composed configuration, or any part of one.
        settings: A dataclass, such as ``zstar.config.schema.Invert``, that says which keys ``cfg`` itself has.

    Errors: one ``ConfigError`` with all problems: unknown targets and keys, unknown or missing arguments, values of the
    wrong type, values still ``???``, and entries of a multi-select group that have values but were not chosen.
    """
    ready = OmegaConf.is_config(cfg) or is_settled(cfg)
    if problems := find_problems(cfg if ready else OmegaConf.create(cfg), settings):
        raise ConfigError("\n".join(problems))


def is_settled(value: Any) -> bool:
    """Whether there is nothing to resolve: plain containers of plain values, none of them ``???`` or interpolated."""
    if isinstance(value, dict | list):
        return all(map(is_settled, value.values() if isinstance(value, dict) else value))
    return value != "???" and "${" not in value if isinstance(value, str) else isinstance(value, PRIMITIVES)


def find_problems(cfg: Config | ListConfig, settings: type | None = None) -> list[str]:
    """One sentence per problem, each with its key and, where there is one, the fix; ``settings`` as in ``check``."""
    problems: list[str] = []
    plain = _read(cfg, "", problems)
    if settings is not None:
        problems += _check_arguments("", settings, settings.__name__.lower(), plain)
    for group in MULTI_SELECT:
        problems += _orphans(group, plain.get(group))
    for key, node in _nodes(plain, ""):
        problems += _check_node(key, node)
    return problems


def _read(node: Any, key: str, problems: list[str]) -> Any:
    """Plain, resolved containers; values that can't be read are reported and replaced by ``Unreadable``."""
    if not isinstance(node, DictConfig | ListConfig) or node._is_none():
        return node
    plain: dict[Any, Any] = {}
    for name in list(node) if isinstance(node, DictConfig) else range(len(node)):
        path = _join(key, name)
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
        yield from _nodes(child, _join(key, name))


def _orphans(group: str, entries: Any) -> Iterator[str]:
    """Entries of a multi-select group that have values, of a method or the command line, but were not chosen."""
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
    named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    positional = node.get("_args_") or []
    if len(positional) > len(named) and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        yield f"{key}._args_: {name} takes at most {len(named)} arguments, not {len(positional)}"
    ours = (*RESERVED, *SHARD, *COMPANIONS, CLASSES, STYLES) if key == "data" else RESERVED
    arguments = dict(zip(named, positional, strict=False)) | {k: v for k, v in node.items() if k not in ours}
    yield from _check_arguments(key, target, name, arguments, node.get("_partial_", False))


def _check_arguments(
    key: str, target: Callable[..., Any], name: str, arguments: Mapping[str, Any], partial: bool = False
) -> Iterator[str]:
    """Compare the arguments under ``key`` with the signature of ``target``; dataclasses nest below the settings."""
    parameters, hints = inspect.signature(target).parameters.values(), annotations(target)
    named = {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    word = "key" if is_dataclass(target) else "argument"
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for unknown in [argument for argument in arguments if argument not in named]:
            yield f"{_join(key, unknown)}: {name} has no {word} '{unknown}'; {nearest(unknown, named)}"
    for argument, parameter in named.items():
        path, hint = _join(key, argument), hints.get(argument, parameter.annotation)
        if argument not in arguments:
            if parameter.default is parameter.empty and not partial:
                yield from _missing(key, argument, name, hint)
        elif not key and (inner := _dataclass(hint)) and isinstance(arguments[argument], Mapping):
            yield from _check_arguments(path, inner, argument, arguments[argument])
        elif not fits(arguments[argument], hint):
            value = arguments[argument]
            yield f"{path}: {name} expects {show(hint)}, not {value!r}{_as_text(path, value, hint)}"


def _as_text(path: str, value: Any, hint: Any) -> str:
    """The advice where a number stands that would do as text."""
    number = isinstance(value, int | float) and fits(str(value), hint)
    return f"""; quote it to make it text: '{path}="{value}"'""" if number else ""


def _dataclass(hint: Any) -> type | None:
    """The dataclass that an annotation is, or that is one of its choices."""
    choices = (hint, *get_args(hint))  # which hold ranges too, objects that are no types
    return next((choice for choice in choices if isinstance(choice, type) and is_dataclass(choice)), None)


def _missing(key: str, argument: str, name: str, hint: Any) -> Iterator[str]:
    path, example = _join(key, argument), get_args(hint)[1] if get_origin(hint) is Annotated else None
    if not key and isinstance(example, str):
        yield f"{path}: nothing is chosen and {name} needs it; choose e.g. {path}={example}"
    elif not key or in_yaml(hint):
        yield f"{path}: {name} needs this argument ({show(hint)}); set {path}=…"


def _join(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)
