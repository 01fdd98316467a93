"""Rotation in the plane."""

from jaxtyping import Float
from torch import Tensor

from zstar.edits.warp import AbstractWarp, matrix


class Rotate(AbstractWarp):
    """Turns the picture in its plane about its centre: α counts degrees, positive counterclockwise.

    Corners that turn in from outside are invented, and not valid. Two turns make the one of the summed α.

    Arguments:
        low, high: The range of α.
    """

    unit = "degrees"

    def __init__(self, low: float = -30.0, high: float = 30.0) -> None:
        super().__init__(low, high)

    def homography(self, alpha: Float[Tensor, " b"], aspect: float) -> Float[Tensor, "b 3 3"]:
        cos, sin = alpha.deg2rad().cos(), alpha.deg2rad().sin()
        return matrix([[cos, -sin / aspect, 0], [sin * aspect, cos, 0], [0, 0, 1]], alpha)
