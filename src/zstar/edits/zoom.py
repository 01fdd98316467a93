"""Zoom."""

from jaxtyping import Float
from torch import Tensor

from zstar.edits.warp import AbstractWarp, matrix


class Zoom(AbstractWarp):
    """Enlarges the picture about its centre, 2^α times: α counts octaves, 1 doubles and −1 halves the size of things.

    Where α < 0 a frame around the picture is invented, and not valid. Two zooms make the one of the summed α.

    Arguments:
        low, high: The range of α.
    """

    unit = "octaves"

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        super().__init__(low, high)

    def homography(self, alpha: Float[Tensor, " b"], aspect: float) -> Float[Tensor, "b 3 3"]:
        scale = 2**-alpha
        return matrix([[scale, 0, 0], [0, scale, 0], [0, 0, 1]], alpha)
