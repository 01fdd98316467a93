"""Brightness."""

from jaxtyping import Float
from torch import Tensor

from zstar.edits.paint import AbstractPaint


class Brightness(AbstractPaint):
    """Adds α to all values, in units of images in [−1, 1]: 2 turns black into white.

    Short of white and black, two of them make the one of the summed α. For a change as the eye judges it choose
    ``lightness``.

    Arguments:
        low, high: The range of α.
    """

    unit = "offset in [-1, 1]"

    def __init__(self, low: float = -0.5, high: float = 0.5) -> None:
        super().__init__(low, high)

    def paint(self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b c h w"]:
        return images + alpha
