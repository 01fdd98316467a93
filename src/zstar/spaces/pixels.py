"""The image itself as the variable."""

from jaxtyping import Float
from torch import Tensor

from zstar.spaces.base import AbstractSpace


class Pixels(AbstractSpace):
    """The trivial space, ``[b, c, h, w]``: v is the image, and G the identity (``generator=pixels``).

    Choose it to optimise an image directly, as in style transfer and gradient-domain editing.
    """

    name = "pixels"

    def constrain(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The identity: every latent is allowed."""
        return latent
