"""What flows offer beside other generators: the exact inverse, and the likelihood of an image."""

import math
from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from zstar.config.reasons import Unfit
from zstar.generators.base import AbstractGenerator

LEVELS = 256  # of an 8-bit colour value


class Invertible(ABC):
    """A generator whose images are an invertible function of the latents of its first space: a normalising flow.

    Attributes:
        levels: Of a colour value, in its likelihoods.
    """

    levels: int = LEVELS

    @abstractmethod
    def invert(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b ..."]:
        """The latents of the first space whose images are these, up to rounding; differentiable."""

    @abstractmethod
    def log_likelihood(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """Natural logarithm of the probability of each image in [−1, 1] among all images of as many levels.

        That is the density at the image times the volume of its bin: of 256 levels, each colour value on [0, 1] has one
        of width 1/256. No noise is added, as a training does: an 8-bit value k lies at k/255, within its own bin from
        k/256 to (k + 1)/256. Differentiable in the image and in the weights.
        """

    def bits_per_dimension(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """−log₂ of the probability of each image over the number of its colour values: what papers report."""
        return -self.log_likelihood(image) / (math.log(2) * math.prod(image.shape[1:]))


def require_invertible(generator: AbstractGenerator, key: str, otherwise: str) -> Invertible:
    """The generator as a flow.

    Arguments:
        generator: Any generator.
        key: The setting that asks for one, which the error begins with.
        otherwise: What to choose with another generator, which the error ends with.

    Raises:
        Unfit: It is none.
    """
    if not isinstance(generator, Invertible):
        name = type(generator).__name__
        raise Unfit(f"{key}: {name} has no exact inverse and no likelihood, as flows have; choose {otherwise}")
    return generator
