"""The argument of the equation: v, one mapping of named tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor

Variables = Mapping[str, Tensor]
"""Name → tensor, batch first. ``latent`` [b, ...] is there always; others are named by their kind and by what they are
of: ``noise/<map>`` [b, 1, h, w]; ``weights/<parameter>`` [b, *shape], what this image adds to a parameter of G, or
that in fewer numbers (:func:`zstar.generators.changes.weight_changes`); ``features/<layer>`` [b, c, h, w], what this
image adds to the feature map of a layer; ``factors/<layer>`` [b, c, h, w], δ of the factors 1 + δ that it multiplies
that map by before; ``class`` [b, k], how much of each class of a conditional generator an image is."""

KINDS = ("noise/", "weights/", "features/", "factors/")
"""How the names of the tensors in v begin of which there are several of a kind."""


def is_variable(name: str) -> bool:
    """Whether a tensor of this name is one of v."""
    return name in ("latent", "class") or name.startswith(KINDS)


def kinds_of(v: Variables) -> set[str]:
    """What kinds of variables there are, such as ``latent`` and ``weights``."""
    return {name.partition("/")[0] for name in v}


def part(v: Variables, kind: str) -> dict[str, Tensor]:
    """The tensors of one kind, without its prefix: of ``noise``, name of the map → maps."""
    return {name.removeprefix(f"{kind}/"): value for name, value in v.items() if name.startswith(f"{kind}/")}


def named(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of one kind under the names that they have in v."""
    return {f"{kind}/{name}": value for name, value in tensors.items()}


def choose(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """``yes`` for the images whose condition ``[b]`` holds, ``no`` for the others."""
    return torch.where(condition.view(-1, *[1] * (yes.dim() - 1)), yes, no)


def choose_all(condition: Tensor, yes: Variables, no: Variables) -> dict[str, Tensor]:
    """Image by image one of two v; a change of weights or features that one of them lacks is none, zero."""
    return {
        name: choose(
            condition,
            yes[name] if name in yes else torch.zeros_like(no[name]),
            no[name] if name in no else torch.zeros_like(yes[name]),
        )
        for name in {**yes, **no}
    }
