"""Saturation."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.edits.paint import AbstractPaint, need_colour
from zstar.images import LUMA
from zstar.stats.constants import Constant

_LUMA = Constant(torch.tensor(LUMA).view(1, 3, 1, 1))


class Saturation(AbstractPaint):
    """Multiplies what colours differ from grey of their luma (BT.601) with 2^α: α counts octaves, 1 doubles it.

    Within the gamut, two of them make the one of the summed α.

    Arguments:
        low, high: The range of α.

    Errors: ``ValueError`` for images without colour.
    """

    unit = "octaves"

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        super().__init__(low, high)

    def paint(self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b c h w"]:
        need_colour("saturation", images)
        grey = (images * _LUMA.like(images)).sum(dim=1, keepdim=True)
        return grey + 2**alpha * (images - grey)
