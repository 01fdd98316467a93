"""Distance between small versions of images."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import Within, require
from zstar.losses.base import AbstractLoss, spatial_mean


class Downscaled(AbstractLoss):
    """Mean squared error after the mean over blocks of ``factor`` × ``factor`` pixels, of images in [−1, 1].

    Says nothing about detail, which is left to G: the loss of PULSE (Menon et al. 2020,
    https://arxiv.org/abs/2003.03808), which looks for the sharp pictures that a small one may come from. Choose it for
    super-resolution, or as a first, smoother stage. PULSE itself takes bicubic reduction.

    Arguments:
        factor: Edge of a block in pixels; pixels at the right and lower edge that fill no block count in smaller ones.
        weight: λ, the factor of this loss in the objective.
    """

    def __init__(self, factor: int = 4, weight: float = 1.0) -> None:
        super().__init__(weight)
        require("loss.downscaled", Within(1), factor=factor)
        self.factor = factor

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        return [F.avg_pool2d(image, self.factor, ceil_mode=True)]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        return spatial_mean((features[0] - target[0]).square(), weights)
