"""Latents that are decoded as they are, where the generator was trained on quantised ones."""

from jaxtyping import Float
from torch import Tensor

from zstar.spaces.base import AbstractSpace


class Continuous(AbstractSpace):
    """What the decoder of a generator with code books sees, ``[b, d]``, without its codes (``generator=vqvae2``).

    Choose it for the closest reconstruction: every number is free. Between codes the decoder has seen nothing in its
    training, yet draws what one would expect.
    """

    name = "continuous"

    def constrain(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The identity: every latent is allowed."""
        return latent
