"""Latents that are quantised before they are decoded."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.generators.base import AbstractGenerator
from zstar.spaces.base import AbstractSpace


class Quantised(AbstractSpace):
    """Numbers before they are quantised, ``[b, d]``, in a generator with code books (``generator=vqvae2``).

    The picture is that of the nearest codes, and the gradient passes straight through them (van den Oord et al. 2017,
    https://arxiv.org/abs/1711.00937). Choose it where a picture has to be one that codes can say; it changes by jumps,
    so that the loss does too.

    Arguments:
        constraint: ``"none"``, or ``"codes"``, which puts latents onto the nearest codes. That says what a latent
            stands for; steps of an optimizer that are shorter than half of the way to another code come to nothing.
    """

    name = "quantised"

    def __init__(
        self,
        generator: AbstractGenerator,
        prior_samples: int = 10_000,
        constraint: Literal["none", "codes"] = "none",
    ) -> None:
        super().__init__(generator, prior_samples)
        if constraint not in ("none", "codes"):
            raise ValueError(f"space.constraint: '{constraint}' is unknown; choose none or codes")
        self.constraint = constraint

    @torch.no_grad()
    def constrain(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The nearest codes, as configured."""
        if self.constraint == "codes":
            return self.generator.embed(*self.generator.codes(latent))
        return latent
