"""The outputs of the affine layers."""

from jaxtyping import Float
from torch import Tensor

from zstar.spaces.base import AbstractSpace


class Style(AbstractSpace):
    """StyleSpace: the channel scales of every layer, ``[b, d]``, concatenated in the order of synthesis.

    The most disentangled and most expressive latent space of StyleGAN2 (Wu et al., 2021,
    https://arxiv.org/abs/2011.12799).
    """

    name = "style"

    def constrain(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The identity: every latent is allowed."""
        return latent
