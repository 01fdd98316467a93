"""Lightness."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.edits.paint import AbstractPaint, need_colour
from zstar.images import to_unit


class Lightness(AbstractPaint):
    """Adds α to L* of CIELAB: equal steps as the eye judges them, 100 from black to white; hue and chroma stay.

    Choose it over ``brightness`` to treat dark and bright parts alike. Within the gamut of sRGB, two of them make the
    one of the summed α.

    Arguments:
        low, high: The range of α.

    Errors: ``ValueError`` for images without colour.
    """

    unit = "CIE L*"

    def __init__(self, low: float = -25.0, high: float = 25.0) -> None:
        super().__init__(low, high)

    def paint(self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b c h w"]:
        from kornia.color import lab_to_rgb, rgb_to_lab  # takes seconds to import

        need_colour("lightness", images)
        lightness, chroma = rgb_to_lab(to_unit(images).clamp(0, 1)).split([1, 2], dim=1)
        lab = torch.cat([(lightness + alpha).clamp(0, 100), chroma], dim=1)
        return lab_to_rgb(lab) * 2 - 1
