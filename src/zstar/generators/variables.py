"""The argument of the equation: v, one mapping of named tensors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Variables = Mapping[str, Tensor]
"""Name → tensor, batch first. ``latent`` [b, ...] is there always; others are named by their kind and by what they are
of: ``noise/<map>`` [b, 1, h, w]; ``weights/<parameter>`` [b, *shape], what this image adds to a parameter of G, or
that in fewer numbers (:func:`zstar.generators.changes.weight_changes`); ``features/<layer>`` [b, c, h, w], what this
image adds to the feature map of a layer; ``factors/<layer>`` [b, c, h, w], δ of the factors 1 + δ that it multiplies
that map by before; ``class`` [b, k], how much of each class of a conditional generator an image is.

G does not look at ``origin`` [b, ...], the latent that an edit begins with, nor at ``alternatives/latent`` [b, k, ...]
and ``alternatives/value`` [b, k], several solutions of the equation and its value there, the lowest first, nor at
``handles/from``, ``handles/to`` and ``handles/at`` [b, k, 2], where handles were, are to be, and are, as x and y in
pixels of the picture, NaN where an image has fewer of them."""

NOTED = ("alternatives/", "handles/")
KINDS = ("noise/", "weights/", "features/", "factors/", *NOTED)
"""How the names of the tensors in v begin of which there are several of a kind."""


def is_variable(name: str) -> bool:
    """Whether a tensor of this name is one of v."""
    return name in ("latent", "class", "origin") or name.startswith(KINDS)


def drawn(v: Variables) -> dict[str, Tensor]:
    """The tensors that a picture is drawn from, without what is only noted beside them."""
    return {name: value for name, value in v.items() if name != "origin" and not name.startswith(NOTED)}


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


@dataclass(frozen=True)
class Group:
    """Variables of v that are free together.

    Attributes:
        names: Their names.
        rate: Step size of their own; ``None`` is that of the optimizer.
        constrain: What brings each of them back to where it is allowed, after every step.
    """

    names: Sequence[str]
    rate: float | None = None
    constrain: Callable[[Tensor], Tensor] | None = None

    @torch.no_grad()
    def constrain_(self, v: dict[str, Tensor]) -> None:
        """Bring the variables of this group back to where they are allowed, in place."""
        for name in self.names if self.constrain else ():
            v[name].copy_(self.constrain(v[name]))
