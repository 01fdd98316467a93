"""Directions towards a reference: v + α·q⊙(r − v)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.directions.base import AbstractLatentDirection, Label
from zstar.stats.constants import Constant


class Towards(AbstractLatentDirection):
    """Moves some coordinates towards those of a reference: other latents move by other vectors, and α = 1 arrives.

    Arguments:
        space: Name of the latent space.
        reference: r, in the shape of one latent.
        mask: q in [0, 1], of the same shape: how much of the way each coordinate goes.
        label: What is known of it; a useful α lies in [0, 1].
    """

    def __init__(
        self, space: str, reference: Float[Tensor, "..."], mask: Float[Tensor, "..."], label: Label | None = None
    ) -> None:
        if reference.shape != mask.shape or not ((mask >= 0) & (mask <= 1)).all():
            sizes = f"{tuple(mask.shape)} for a reference of {tuple(reference.shape)}"
            raise ValueError(f"mask: is {sizes}; it has one number in [0, 1] for each coordinate of the reference")
        self.space, self._reference, self._mask = space, Constant(reference), Constant(mask)
        self.label = label or Label(unit="of the way", low=0.0, high=1.0)

    @property
    def reference(self) -> Float[Tensor, "..."]:
        """r."""
        return self._reference.value

    @property
    def mask(self) -> Float[Tensor, "..."]:
        """q."""
        return self._mask.value

    def move(self, latent: Float[Tensor, "b ..."], alpha: Float[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        steps = alpha.to(latent).view(-1, *[1] * (latent.dim() - 1))
        way = self._mask.like(latent) * (self._reference.like(latent) - latent)
        return torch.where(steps == 0, latent, latent + steps * way)

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"reference": self.reference, "mask": self.mask}, {}

    @classmethod
    def unpack(cls, space: str, label: Label, tensors: dict[str, Tensor], settings: dict[str, Any]) -> "Towards":
        if set(tensors) != {"reference", "mask"} or settings:
            names = ", ".join(sorted(tensors)) or "none"
            raise ValueError(f"a direction towards a reference is two tensors, reference and mask, not {names}")
        return cls(space, tensors["reference"], tensors["mask"], label)
