"""Anti-aliased shapes, and the canvas that they are drawn on from front to back.

Lengths are fractions of the picture's side, x to the right and y downwards. Parameters are ``[b, 1, 1, 1]``, and what
depends on x or y alone stays a column or a row until the last moment: that is what makes drawing fast.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Field = Float[Tensor, "#b 1 #h #w"]
Colour = Float[Tensor, "#b 3 #h #w"]


class Canvas:
    """Picture and class masks of a batch (given as zeros), composited from the nearest shape to the furthest.

    Keeping what light still passes makes the masks exact: they are the very weights that the colours got, and after
    ``fill`` they sum to 1 at every pixel.
    """

    def __init__(
        self, image: Float[Tensor, "b 3 h h"], masks: Float[Tensor, "b c h h"], classes: tuple[str, ...]
    ) -> None:
        self.image, self.masks, self.classes = image, masks, classes
        self.resolution = image.shape[-1]
        options = {"dtype": image.dtype, "device": image.device}
        centres = (torch.arange(self.resolution, **options) + 0.5) / self.resolution
        self.x, self.y = centres.view(1, 1, 1, -1), centres.view(1, 1, -1, 1)
        self.clear = torch.ones_like(image[:, :1])

    def draw(self, name: str, cover: Field, colour: Colour, shade: Field | None = None) -> None:
        """Put a shape of class ``name`` behind all that is there; ``shade`` scales its colour."""
        seen = cover * self.clear
        self.clear.sub_(seen)
        self._add(name, seen, colour, shade)

    def fill(self, name: str, colour: Colour) -> None:
        """Give everything that is still clear to the background."""
        self._add(name, self.clear, colour, None)

    def _add(self, name: str, seen: Field, colour: Colour, shade: Field | None) -> None:
        index = self.classes.index(name)
        self.masks[:, index : index + 1].add_(seen)
        self.image.addcmul_(seen if shade is None else seen * shade, colour)

    def inside(self, depth: Field) -> Field:
        """Coverage from the signed distance to an edge, positive inside: a ramp one pixel wide."""
        return (depth * self.resolution).add_(0.5).clamp_(0, 1)

    def columns(self, left: Field, right: Field) -> Field:
        """Exact coverage of the strip left ≤ x ≤ right."""
        return self.inside(self.x - left) - self.inside(self.x - right)

    def rows(self, top: Field, bottom: Field) -> Field:
        """Exact coverage of the strip top ≤ y ≤ bottom."""
        return self.inside(self.y - top) - self.inside(self.y - bottom)

    def box(self, centre: Field, half: Field | float, top: Field, bottom: Field) -> Field:
        """An upright rectangle."""
        return self.columns(centre - half, centre + half) * self.rows(top, bottom)

    def trapezoid(self, centre: Field, upper: Field, lower: Field, top: Field, bottom: Field) -> Field:
        """A symmetric trapezoid with half widths ``upper`` at its top and ``lower`` at its bottom."""
        slope = (lower - upper) / (bottom - top)
        half = upper + (self.y - top) * slope
        across = (half - (self.x - centre).abs()) / (1 + slope.square()).sqrt()
        return self.inside(across) * self.rows(top, bottom)

    def depth(self, x: Field, y: Field, width: Field | float, height: Field | float) -> Field:
        """Signed distance (approximately) to the ellipse with these half axes, positive inside."""
        across = ((self.x - x) / width).square()
        down = ((self.y - y) / height).square()
        return (1 - (across + down).sqrt_()) * (torch.as_tensor(width).minimum(torch.as_tensor(height)))

    def glow(self, x: Field, y: Field, width: Field | float, height: Field | float) -> Field:
        """A soft spot: 1 at its centre, smoothly 0 beyond the ellipse with these half axes."""
        across = ((self.x - x) / width).square()
        down = ((self.y - y) / height).square()
        return (1 - (across + down)).clamp_(min=0).square_()
