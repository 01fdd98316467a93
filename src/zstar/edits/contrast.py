"""Contrast."""

from jaxtyping import Float
from torch import Tensor

from zstar.edits.paint import AbstractPaint


class Contrast(AbstractPaint):
    """Multiplies what values differ from the image's own mean with 2^α: α counts octaves, 1 doubles the contrast.

    The mean, so the brightness, stays. Short of white and black, two of them make the one of the summed α.

    Arguments:
        low, high: The range of α.
    """

    unit = "octaves"

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        super().__init__(low, high)

    def paint(self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b c h w"]:
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        return mean + 2**alpha * (images - mean)
