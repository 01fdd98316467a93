"""Shift."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from zstar.edits.warp import AbstractWarp, matrix


class Shift(AbstractWarp):
    """Moves the picture: α counts widths of the image, positive to the right, or heights of it, positive upwards.

    What comes in at the side is invented, and not valid. Two shifts make the one of the summed α.

    Arguments:
        axis: ``x`` (right and left) or ``y`` (up and down).
        low, high: The range of α.
    """

    def __init__(self, axis: Literal["x", "y"], low: float = -0.25, high: float = 0.25) -> None:
        super().__init__(low, high)
        if axis not in ("x", "y"):
            raise ValueError(f"edit.shift.axis: there is no axis '{axis}'; choose x or y")
        self.axis, self.unit = axis, "widths" if axis == "x" else "heights"

    def homography(self, alpha: Float[Tensor, " b"], aspect: float) -> Float[Tensor, "b 3 3"]:
        x, y = (-2 * alpha, 0.0) if self.axis == "x" else (0.0, 2 * alpha)  # y of places points down
        return matrix([[1, 0, x], [0, 1, y], [0, 0, 1]], alpha)
