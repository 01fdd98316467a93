"""z and the vector of a class, side by side."""

from jaxtyping import Float
from torch import Tensor

from zstar.spaces.base import AbstractSpace


class ZClass(AbstractSpace):
    """z and a vector of the classes' embedding, ``[b, z_dim + class_dim]``, both free: any vector is a class.

    The choice for pictures that are of no class that G knows, and for directions between classes: the joint search of
    z and a continuous class of pix2latent (Huh et al. 2020, https://arxiv.org/abs/2005.01703). In z with
    ``generator.label=own`` the class stays a mixture of those that there are. The prior is that of z beside the vectors
    of all classes, of the one that ``generator.label`` names, or of the one that is known of an image.
    """

    name = "z_class"

    def constrain(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The identity: every latent is allowed."""
        return latent
