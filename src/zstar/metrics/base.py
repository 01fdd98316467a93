"""The protocol of metrics: how far a result is from its target, one value per image."""

from abc import ABC, abstractmethod
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Variables
from zstar.metrics.distribution import Estimate


class AbstractMeasure(ABC):
    """A number that is reported, never optimised.

    Attributes:
        better: Whether ``"higher"`` or ``"lower"`` values are better.
        unit: Unit to print behind the value, e.g. ``"dB"``; empty for none.
        network: Name of the network whose judgement it is, to be reported with the value; empty for none.
        needs: What it needs to have a value at all, in words; empty where it always has one.
    """

    better: Literal["higher", "lower"]
    unit: str = ""
    network: str = ""
    needs: str = ""


class AbstractMetric(AbstractMeasure):
    """A number per image, of what it is beside its target."""

    @abstractmethod
    def __call__(self, image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"] | None:
        """Value per image for images in [−1, 1], or ``None`` where it is not defined for images of this size."""


class AbstractPriorMetric(AbstractMeasure):
    """A number per image of what its v changes of the generator, beside the image itself."""

    @abstractmethod
    def __call__(
        self, generator: AbstractGenerator, v: Variables, space: str, noise: str
    ) -> Float[Tensor, " b"] | None:
        """Value per image, or ``None`` where v changes nothing of G.

        Arguments:
            generator: G, as it was.
            v: The variables of the images.
            space: Space of their latents.
            noise: Which noise there is where v has no maps.
        """


class AbstractModelMetric(AbstractMeasure):
    """A number per image of what the generator says of it, and of its target."""

    @abstractmethod
    def __call__(
        self, generator: AbstractGenerator, image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, " b"] | None:
        """Value per image for images in [−1, 1], not clamped, or ``None`` where the generator has nothing to say."""


class AbstractSetMetric(AbstractMeasure):
    """A number of a set of images, made of a vector for each of them."""

    @abstractmethod
    def features(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """A vector for each of some images in [−1, 1]."""

    @abstractmethod
    def __call__(self, made: Float[Tensor, "n d"], targets: Float[Tensor, "n d"]) -> Estimate | None:
        """The number and its interval, from all vectors; ``None`` for too few images."""
