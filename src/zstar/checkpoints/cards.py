"""The network on the JSON card of a file of weights.

A card comes with the weights of strangers, so nothing on it is built as a configuration would be: it chooses one of the
classes in one folder of the package and gives plain values to it.
"""

import functools
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_origin

from torch import nn

from zstar.config.signatures import annotations, fits

Kind = TypeVar("Kind")
PLAIN = str | int | float | bool | None


def network(node: Any, base: type[nn.Module], supplied: tuple[str, ...]) -> tuple[type[nn.Module], dict[str, Any]]:
    """The class that a card's ``network`` names, and the arguments for it.

    Arguments:
        node: ``_target_`` and plain values; a value may be a node of its own, which becomes a
            factory of such a class.
        base: The protocol of the class; it and everything it imports from live in one folder of the package.
        supplied: Arguments that the program gives and a card can't.

    Raises:
        ValueError: It asks for something else than a class of that folder with plain values.
    """
    if not isinstance(node, dict):
        raise ValueError(f"network is a {type(node).__name__}; it must be a mapping with a _target_")
    kind = named(node.get("_target_"), base)
    hints = annotations(kind)
    arguments = {name: value for name, value in node.items() if name not in ("_target_", "_partial_")}
    for name, value in arguments.items():
        if name.startswith("_") or name not in inspect.signature(kind).parameters or name in supplied:
            raise ValueError(f"network.{name[:40]} is no setting of {kind.__name__}; remove it")
        if isinstance(value, dict) and "_target_" in value and get_origin(hints.get(name)) is Callable:
            inner, settings = network(value, base, supplied)
            arguments[name] = functools.partial(inner, **settings)
            continue
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, PLAIN):
                raise ValueError(f"network.{name} holds a {type(item).__name__}; give plain values or a list of them")
        if not fits(value, hints.get(name, Any)):
            raise ValueError(f"network.{name} is {repr(value)[:40]}, which {kind.__name__} cannot take")
    return kind, arguments


def named(target: Any, base: type[Kind]) -> type[Kind]:
    """The class derived from ``base``, in its folder, that has this full name.

    Modules outside of that folder are not even imported.
    """
    package = base.__module__.rpartition(".")[0]
    folder = Path(inspect.getfile(base)).parent
    match = re.fullmatch(rf"{re.escape(package)}\.([a-z][a-z0-9_]*)\.([A-Za-z]\w*)", str(target)[:200], re.ASCII)
    kind: Any = None
    if match and (folder / f"{match[1]}.py").is_file():
        kind = getattr(importlib.import_module(f"{package}.{match[1]}"), match[2], None)
    if not (inspect.isclass(kind) and issubclass(kind, base)) or inspect.isabstract(kind):
        raise ValueError(
            f"_target_ is {repr(target)[:80]}, but a card can only name one of the classes in {package}; "
            "pass one of your own as an object"
        )
    return kind
