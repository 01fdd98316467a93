"""One style code per layer."""

from jaxtyping import Float
from torch import Tensor

from zstar.spaces.base import AbstractSpace


class WPlus(AbstractSpace):
    """The extended style space, ``[b, num_ws, w_dim]``: a code of its own for each layer.

    Choose it for faithful reconstruction; codes far from w edit worse. (Image2StyleGAN, Abdal et al., 2019,
    https://arxiv.org/abs/1904.03189)
    """

    name = "w_plus"

    def constrain(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The identity: every latent is allowed."""
        return latent
