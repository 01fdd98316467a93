"""Rotation in depth."""

from jaxtyping import Float
from torch import Tensor

from zstar.edits.warp import AbstractWarp, matrix

DISTANCE = 3.0  # of the eye, in half widths of the picture: a horizontal field of view of 37 degrees


class Rotate3D(AbstractWarp):
    """Turns the picture, as a flat board, about its vertical middle line: α counts degrees, positive turns the right
    side away from the viewer, who stands one and a half widths in front of it.

    The board gets narrower, its far side shorter; what shows beside it is invented, and not valid. The edited picture
    is flat again, so two turns are not quite the one of the summed α.

    Arguments:
        low, high: The range of α, within −60 to 60: further on the board is seen from its edge.
    """

    unit = "degrees"
    limits = (-60.0, 60.0)

    def __init__(self, low: float = -30.0, high: float = 30.0) -> None:
        super().__init__(low, high)

    def homography(self, alpha: Float[Tensor, " b"], aspect: float) -> Float[Tensor, "b 3 3"]:
        angle = alpha.deg2rad()
        return matrix([[1 / angle.cos(), 0, 0], [0, 1, 0], [-angle.tan() / DISTANCE, 0, 1]], alpha)
