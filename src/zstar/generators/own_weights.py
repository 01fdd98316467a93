"""Images by weights of their own, of a generator whose layers take no batch of weights."""

from collections.abc import Callable, Mapping
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.func import vmap

Rows = Mapping[str, Mapping[str, Tensor]]  # what images have of their own, by kind and by name
APART: WeakSet[nn.Module] = WeakSet()  # networks that hold something which torch can't do for all images at once


def each(network: nn.Module, draw: Callable[[Rows], Tensor], count: int, rows: Rows) -> Tensor:
    """``draw(row)`` of each of ``count`` rows, one behind the other.

    All at once by ``torch.func.vmap``, which takes about half of the time; one after the other where torch has no such
    rule for something in the network, which is found out once, and where hooks look at its layers: they are written
    for tensors.

    Arguments:
        network: What ``draw`` calls.
        draw: Rows of one image, with a batch of 1 → its image, ``[1, c, h, w]``.
        count: Number of images.
        rows: Tensors of all images, ``[count, ...]``, or of fewer that are taken again and again.
    """
    own = {kind: {name: _repeated(value, count) for name, value in group.items()} for kind, group in rows.items()}
    if network not in APART and not hooks_in(network):
        try:
            return vmap(lambda row: draw(_places(row, None))[0])(own)
        except RuntimeError:  # no rule, random numbers, a look at values; an error of another kind comes again below
            APART.add(network)
    return torch.cat([draw(_places(own, slice(i, i + 1))) for i in range(count)])


def hooks_in(network: nn.Module) -> bool:
    """Whether something is called with what goes in or out of a layer."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def _repeated(value: Tensor, count: int) -> Tensor:
    if len(value) == 1:
        return value.expand(count, *value.shape[1:])
    return value if len(value) == count else value.repeat(-(-count // len(value)), *[1] * (value.dim() - 1))[:count]


def _places(rows: Rows, places: slice | None) -> dict[str, dict[str, Tensor]]:
    return {kind: {name: value[places] for name, value in group.items()} for kind, group in rows.items()}
