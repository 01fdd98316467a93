"""A hidden region."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.operators.base import AbstractOperator, Named, Shape

VISIBLE = 0.5  # of a map, white is 1


class Mask(AbstractOperator):
    """Hides a region of each image: the operator of inpainting and outpainting.

    Hidden is the inside of a box, the same for all images, or, without a box, where the target ``mask`` is below one
    half, so black. Masking a masked picture changes nothing.

    Arguments:
        box: Top, left, bottom and right edge of the hidden part, as shares of the height and the width from 0 to 1.
        fill: What stands in its place: the mean colour of what is visible of the image, or a level in [−1, 1]. Losses
            with receptive fields see the edge of the region, and encoders see all of it.
    """

    linear = True

    def __init__(self, box: Sequence[float] | None = None, fill: Literal["mean"] | float = "mean") -> None:
        self.box, self.fill = None if box is None else [float(edge) for edge in box], fill
        self.reads = ("mask",) if box is None else ()
        if self.box is not None and not _is_box(self.box):
            raise ValueError(
                f"operator.mask.box: {self.box} is no part of an image; give its top, left, bottom and right edge as "
                "shares from 0 to 1, e.g. [0.5, 0.5, 1, 1]"
            )
        if fill != "mean" and not (isinstance(fill, int | float) and -1 <= fill <= 1):
            raise ValueError(f"operator.mask.fill: {fill} is no level of an image; give mean or a number from -1 to 1")

    def __call__(self, images: Float[Tensor, "b c h w"], targets: Named) -> Float[Tensor, "b c h w"]:
        """The images with the region filled."""
        visible = self.visible(images, targets)
        if self.fill == "mean":
            shares = visible.sum(dim=(2, 3), keepdim=True).clamp_min(1)
            fill = (images * visible).sum(dim=(2, 3), keepdim=True) / shares
        else:
            fill = torch.full_like(images[:, :, :1, :1], float(self.fill))
        return torch.where(visible.bool(), images, fill)

    def as_picture(
        self, observation: Float[Tensor, "b c h w"], targets: Named, size: tuple[int, int]
    ) -> Float[Tensor, "b c h w"]:
        """The observation, filled again where a later operator has blurred the edge of the region."""
        return self(observation, targets)

    def shape(self, shape: Shape) -> Shape:
        if self.box is not None and not self.visible(torch.zeros(1, *shape), {}).any():
            raise ValueError(
                f"operator.mask.box: {self.box} hides the whole of {shape[1]} × {shape[2]} images and leaves nothing "
                "of them; make it smaller, e.g. [0.5, 0.5, 1, 1]"
            )
        return shape

    def visible(self, images: Float[Tensor, "b c h w"], targets: Named) -> Float[Tensor, "b 1 h w"]:
        """1 where an image is visible, 0 where it is hidden."""
        if self.box is not None:
            height, width = images.shape[-2:]
            top, left, bottom, right = self.box
            seen = images.new_ones(len(images), 1, height, width)
            seen[..., _span(top, bottom, height), _span(left, right, width)] = 0
            return seen
        mask = targets["mask"].to(images)
        if mask.shape[-2:] != images.shape[-2:]:
            mask = F.interpolate(mask, size=images.shape[-2:], mode="area")
        return (mask >= VISIBLE).to(images)


def _is_box(box: list[float]) -> bool:
    return len(box) == 4 and all(0 <= first < last <= 1 for first, last in ((box[0], box[2]), (box[1], box[3])))


def _span(first: float, last: float, length: int) -> slice:
    """Whole pixels between two shares of a length, at least one."""
    start = min(round(first * length), length - 1)
    return slice(start, max(round(last * length), start + 1))
