"""Distances between the activations of a backbone, with heads that were calibrated on human judgements."""

from abc import abstractmethod

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.config.constraints import Within, require
from zstar.losses.base import AbstractLoss, spatial_mean
from zstar.losses.networks import as_rgb, at_least, at_most, unit_length


class AbstractCalibrated(AbstractLoss):
    """Σ over layers of the spatial mean of a head's verdict on squared differences, as LPIPS has it.

    Images are in [−1, 1]; those whose shorter side is longer than ``size`` are shrunk to it (mean over areas). Grey
    ones are repeated to three channels; images whose shorter side is below 64 pixels are enlarged to 64 (bilinear)
    first, because the backbones shrink them to nothing.

    Attributes:
        heads: For each layer, the weights of its channels, ``[1, c, 1, 1]``.

    Arguments:
        weight: λ, the factor of this loss in the objective.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
        size: Pixels of the shorter side of what is compared, at the most; ``None`` compares images as they are.
    """

    looks_around = True
    heads: nn.ParameterList

    def __init__(self, weight: float, target: str, mask: str | None, size: int | None) -> None:
        super().__init__(weight, target, mask)
        require("loss.*", Within(1), size=1 if size is None else size)
        self.size = size

    @abstractmethod
    def activations(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """The layers that are compared."""

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Activations of the backbone, with the channels of each pixel as a vector of length 1."""
        return [unit_length(layer) for layer in self.activations(at_least(at_most(as_rgb(image), self.size)))]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        layers = zip(features, target, self.heads, strict=True)
        return sum(spatial_mean(F.conv2d((a - b).square(), head), weights) for a, b, head in layers)
