"""Linear directions: z + αw."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.directions.base import AbstractLatentDirection, Label
from zstar.spaces.base import AbstractSpace
from zstar.stats.constants import Constant
from zstar.stats.streams import stream


class Linear(AbstractLatentDirection):
    """The same vector for every latent: v + α·w.

    Arguments:
        space: Name of the latent space.
        vector: w, in the shape of one latent; rows of w_plus that are not to move are zero.
        label: What is known of it.
    """

    def __init__(self, space: str, vector: Float[Tensor, "..."], label: Label | None = None) -> None:
        self.space, self.label, self._vector = space, label or Label(), Constant(vector)

    @property
    def vector(self) -> Float[Tensor, "..."]:
        """w."""
        return self._vector.value

    def move(self, latent: Float[Tensor, "b ..."], alpha: Float[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        steps = alpha.to(latent).view(-1, *[1] * (latent.dim() - 1))
        return torch.where(steps == 0, latent, latent + steps * self._vector.like(latent))

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"vector": self.vector}, {}

    @classmethod
    def unpack(cls, space: str, label: Label, tensors: dict[str, Tensor], settings: dict[str, Any]) -> "Linear":
        if set(tensors) != {"vector"} or settings:
            raise ValueError(
                f"a linear direction is one tensor called vector, not {', '.join(sorted(tensors)) or 'none'}"
            )
        return cls(space, tensors["vector"], label)


def in_units_of_prior(
    space: AbstractSpace, vector: Float[Tensor, "..."], samples: int = 2000, seed: int = 0
) -> Float[Tensor, "..."]:
    """The vector scaled so that α = 1 is one standard deviation of the prior along it."""
    unit = vector / vector.norm().clamp_min(1e-12)
    draws = space.sample(samples, stream("units of the prior", seed))
    along = (draws.flatten(1).double() @ unit.flatten().double().to(draws.device)).std()
    return unit * along.to(unit)
