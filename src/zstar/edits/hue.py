"""Hue."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.edits.paint import AbstractPaint, need_colour
from zstar.images import LUMA
from zstar.stats.constants import Constant


class Hue(AbstractPaint):
    """Turns all colours about the axis of greys: α counts degrees, positive from red over yellow to green.

    The turn is in the plane of U and V of analogue television (BT.601), so luma stays, and it is linear: unlike the
    hue of HSV it has a gradient in grey, and does not jump. Within the gamut, two turns make the one of the summed α.

    Arguments:
        low, high: The range of α.

    Errors: ``ValueError`` for images without colour.
    """

    unit = "degrees"

    def __init__(self, low: float = -60.0, high: float = 60.0) -> None:
        super().__init__(low, high)

    def paint(self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b c h w"]:
        need_colour("hue", images)
        grey, along, across = (part.like(images) for part in _PARTS)
        angle = alpha.view(-1, 1, 1).deg2rad()
        return torch.einsum("bij,bjhw->bihw", grey + angle.cos() * along + angle.sin() * across, images)


def _turn() -> tuple[Tensor, Tensor, Tensor]:
    """Matrices of RGB that sum to the turn by an angle: what stays, the part with its cosine, that with its sine."""
    red, _, blue = torch.eye(3, dtype=torch.float64)
    luma = torch.tensor(LUMA, dtype=torch.float64)
    to_yuv = torch.stack([luma, 0.492 * (blue - luma), 0.877 * (red - luma)])
    keep, same, quarter = (torch.zeros(3, 3, dtype=torch.float64) for _ in range(3))
    keep[0, 0] = same[1, 1] = same[2, 2] = quarter[2, 1] = 1
    quarter[1, 2] = -1
    return tuple(to_yuv.inverse() @ part @ to_yuv for part in (keep, same, quarter))


_PARTS = [Constant(part) for part in _turn()]
