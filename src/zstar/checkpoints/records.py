"""Networks that were pickled whole and were read as data."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from zstar.checkpoints.pickle_values import PickledObject, Refused

KINDS = ("parameters", "buffers", "modules")
LARGEST, LONGEST = 100_000, 1000  # tensors and modules of a network, and characters of a name in it


def mapping(state: dict[Any, Any], name: str) -> dict[str, Any]:
    """The mapping of names that is called ``name``; empty where there is none."""
    value = state.get(name, {})
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise Refused(f"'{name}' in its network is no mapping of names")
    return value


def parts(record: PickledObject) -> Iterator[tuple[str, PickledObject]]:
    """A pickled ``torch.nn.Module`` and all modules in it, with their dotted names and a dot behind each but the first.

    Raises:
        Refused: It is no module, or one that holds itself or a part of itself so often that it has no end.
    """
    waiting, count = [("", record)], 0
    while waiting:
        prefix, module = waiting.pop()
        parameters, buffers, modules = (mapping(module.state, f"_{kind}") for kind in KINDS)
        count += 1 + len(parameters) + len(buffers)
        if count > LARGEST or len(prefix) > LONGEST:
            raise Refused("its network has too many parts; does it hold itself?")
        yield prefix, module
        inner = [(f"{prefix}{name}.", part) for name, part in modules.items() if isinstance(part, PickledObject)]
        waiting += reversed(inner)


def flatten(record: PickledObject) -> dict[str, Tensor]:
    """The state dict of a pickled ``torch.nn.Module``: parameters and persistent buffers by their dotted names.

    Raises:
        Refused: As ``parts``.
    """
    tensors: dict[str, Tensor] = {}
    for prefix, module in parts(record):
        hidden = module.state.get("_non_persistent_buffers_set", ())
        if not isinstance(hidden, set | list | tuple):
            raise Refused(f"'_non_persistent_buffers_set' in its network is a {type(hidden).__name__}")
        hidden = {name for name in hidden if isinstance(name, str)}
        own = {**mapping(module.state, "_parameters"), **mapping(module.state, "_buffers")}
        tensors |= {prefix + n: value for n, value in own.items() if n not in hidden and isinstance(value, Tensor)}
    return tensors
