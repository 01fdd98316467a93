"""Peak signal-to-noise ratio."""

from jaxtyping import Float
from torch import Tensor

from zstar.metrics.base import AbstractMetric
from zstar.metrics.mse import MSE

CEILING = 100.0


class PSNR(AbstractMetric):
    """−10 log₁₀ of the image's own mean squared error in [0, 1], in dB.

    From each image's error, never from the mean error of many, which is larger and gives a smaller number. Images are
    clamped to the displayable range, as for :class:`zstar.metrics.mse.MSE`. Values end at 100 dB (a root mean square
    error of 1/400 of a grey level), because the infinity of equal images would swallow every mean.
    """

    better = "higher"
    unit = "dB"

    def __init__(self) -> None:
        self.mse = MSE()

    def __call__(self, image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        return -10 * self.mse(image, target).clamp_min(10 ** (-CEILING / 10)).log10()
