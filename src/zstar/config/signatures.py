"""Signatures as the schema of a configuration: targets by name, their annotations, and the values that fit them."""

import functools
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

from zstar.config.constraints import FolderName, Within

Rule = Within | FolderName
PRIMITIVES = (bool, int, float, str, type(None))


class UnknownTarget(ValueError):
    """A dotted name that leads nowhere, with the nearest name that leads somewhere."""


class Unreadable:
    """Stands for a value that could not be read and was reported already; it fits everything."""


def resolve(target: Any) -> Any:
    """The class or function with the dotted name ``target``; errors: ``UnknownTarget``."""
    if not isinstance(target, str):
        if callable(target):
            return target
        raise UnknownTarget(f"{target!r} is no dotted name of a class or function")
    parts = target.split(".")
    found: Any = None
    for index, part in enumerate(parts):
        here = ".".join(parts[: index + 1])
        try:
            found = getattr(found, part) if hasattr(found, part) else importlib.import_module(here)
        except ModuleNotFoundError as error:
            if error.name and not f"{here}.".startswith(f"{error.name}."):
                raise UnknownTarget(f"cannot import '{here}': {error}; install '{error.name}'") from None
            advice = _nearest_target(found, parts, index)
            if found is None and "did you mean" not in advice:  # the names of all packages help nobody
                raise UnknownTarget(
                    f"the module '{here}' of '{target}' can't be imported; install it, or put its folder on PYTHONPATH"
                ) from None
            raise UnknownTarget(f"there is no '{target}'; {advice}") from None
        except Exception as error:  # whatever a module raises while it is imported is the reason to show
            raise UnknownTarget(f"cannot import '{here}': {type(error).__name__}: {error}") from None
    if not callable(found):
        raise UnknownTarget(f"'{target}' is a {type(found).__name__}, not a class or function")
    return found


def _nearest_target(parent: Any, parts: list[str], index: int) -> str:
    names = {name for name in dir(parent) if not name.startswith("_")} if parent else set()
    names |= {module.name for module in pkgutil.iter_modules(getattr(parent, "__path__", None) if parent else None)}
    return nearest(parts[index], names, prefix="".join(f"{part}." for part in parts[:index]), limit=8)


def nearest(name: str, names: Iterable[str], prefix: str = "", limit: int = 20) -> str:
    """The advice after a wrong name: the nearest right one, else the ones there are."""
    names = sorted(names)
    lower = {candidate.lower(): candidate for candidate in names}
    close = get_close_matches(name, names, n=1) or [lower[c] for c in get_close_matches(name.lower(), lower, n=1)]
    if close:
        return f"did you mean '{prefix}{close[0]}'?"
    if not names:
        return "it takes none" if not prefix else "check the spelling"
    return f"choose one of {', '.join(names[:limit])}{', …' if len(names) > limit else ''}"


@functools.cache
def annotations(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotation of each argument, evaluated; one that can't be evaluated becomes ``Any``."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # names known to type checkers only, in third-party code
        raw = getattr(inspect.unwrap(function), "__annotations__", {})
        return {name: Any if isinstance(hint, str) else hint for name, hint in raw.items()}


def in_yaml(hint: Any) -> bool:
    """Whether every value of this type can be written in YAML, so that the configuration alone supplies it."""
    origin, arguments = typing.get_origin(hint), [a for a in typing.get_args(hint) if a is not Ellipsis]
    if origin is Literal:
        return True
    if origin is Annotated:
        return in_yaml(arguments[0])
    if origin in (Union, types.UnionType):
        return all(in_yaml(a) for a in arguments)
    if inspect.isclass(origin or hint) and issubclass(origin or hint, Sequence | Mapping) and hint is not bytes:
        return all(in_yaml(a) for a in arguments)
    return hint is None or (inspect.isclass(hint) and issubclass(hint, (*PRIMITIVES, Path)))


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value from YAML can be given for ``hint``; nested ``_target_`` nodes fit everything."""
    if value is Unreadable or hint in (Any, object, inspect.Parameter.empty) or isinstance(hint, str | TypeVar):
        return True
    if isinstance(value, Mapping) and "_target_" in value:
        return True
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return any(value == a and type(value) is type(a) for a in arguments)
    if origin is Annotated:
        return fits(value, arguments[0]) and all(value in rule for rule in arguments[1:] if isinstance(rule, Rule))
    if origin in (Union, types.UnionType):
        return any(fits(value, a) for a in arguments)
    container = origin or hint
    if not inspect.isclass(container):
        return True
    if issubclass(container, Mapping):
        keys, values = arguments if len(arguments) == 2 else (Any, Any)
        return isinstance(value, Mapping) and all(fits(k, keys) and fits(v, values) for k, v in value.items())
    if isinstance(value, list):
        return _fits_list(value, container, arguments)
    return _fits_scalar(value, container)


def _fits_list(value: list[Any], container: type, arguments: tuple[Any, ...]) -> bool:
    if issubclass(container, tuple) and arguments and Ellipsis not in arguments:
        return len(value) == len(arguments) and all(fits(v, a) for v, a in zip(value, arguments, strict=True))
    if issubclass(container, str | bytes) or not (
        issubclass(container, set) or issubclass(list, container) or issubclass(container, tuple)
    ):
        return False
    return all(fits(v, a) for a in arguments[:1] for v in value)


def _fits_scalar(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if issubclass(kind, Path):
        return isinstance(value, str | Path)
    try:
        return isinstance(value, kind) and not (isinstance(value, str) and kind not in (str, object))
    except TypeError:  # protocols that can't be tested at run time
        return True


def show(hint: Any) -> str:
    """An annotation as a person would write it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return " ".join([show(arguments[0]), *(f"({rule})" for rule in arguments[1:] if isinstance(rule, Rule))])
    if origin is Literal:
        return " | ".join(map(repr, arguments))
    if origin in (Union, types.UnionType):
        return " | ".join(show(argument) for argument in arguments)
    if inspect.isclass(hint) and not arguments:
        return "None" if hint is type(None) else hint.__name__
    return str(hint).replace("typing.", "").replace("collections.abc.", "").replace("NoneType", "None")
