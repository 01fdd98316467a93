"""Mean squared error."""

from jaxtyping import Float
from torch import Tensor

from zstar.images import to_unit
from zstar.metrics.base import AbstractMetric


class MSE(AbstractMetric):
    """Mean squared error of values in [0, 1], over channels and pixels.

    Both images are clamped to the displayable range first: a difference that no screen can show does not count. The
    simplest distance, and the one that PSNR is made of; it ranks a blurred image above a sharp one that is shifted.
    """

    better = "lower"

    def __call__(self, image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        difference = to_unit(image).clamp(0, 1) - to_unit(target).clamp(0, 1)
        return difference.square().mean(dim=(1, 2, 3))
