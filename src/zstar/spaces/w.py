"""The intermediate space of a style-based generator."""

from jaxtyping import Float
from torch import Tensor

from zstar.spaces.base import AbstractSpace


class W(AbstractSpace):
    """One style code for all layers, ``[b, w_dim]``: less entangled than z (StyleGAN, Karras et al., 2019).

    Choose it when the result will be edited: directions learned in w transfer to it. It reconstructs less than
    w_plus (https://arxiv.org/abs/1912.04958).
    """

    name = "w"

    def constrain(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The identity: every latent is allowed."""
        return latent
