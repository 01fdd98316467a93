"""The protocol of post-processing: the line's last step, from two pictures of a generator to a picture of the photo."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import Within, require


class AbstractPostprocess(ABC):
    """What an edit does to G(v), done to the photo. Its settings come from conf/postprocess/<name>.yaml.

    A photo is never its projection; whoever shows G(v′) shows everywhere what the projection lost. So the pixels of the
    photo stay outside of the reach of what was painted.

    Arguments:
        reach: How far beyond what was painted the change counts in full, in shares of the picture's side.
        fade: How far beyond that it fades to nothing, likewise.
    """

    def __init__(self, reach: float, fade: float) -> None:
        require("postprocess", Within(0, 1), reach=reach, fade=fade)
        self.reach, self.fade = reach, fade

    def __call__(
        self,
        photo: Float[Tensor, "b c H W"],
        before: Float[Tensor, "b c h w"],
        after: Float[Tensor, "b c h w"],
        mask: Float[Tensor, "_ 1 _ _"],
    ) -> Float[Tensor, "b c H W"]:
        """The photo with the change from ``before`` to ``after``, in [−1, 1], bit for bit itself where none can be.

        Arguments:
            photo: What was projected, in [−1, 1]; of any size, and what is as large as it keeps its detail.
            before: G(v), the projection.
            after: G(v′), the edit.
            mask: What was painted, from 0 to 1, of any size; ones for an edit of the whole picture.
        """
        size = photo.shape[-2:]
        allowed = self.allowed(to_size(mask.to(photo), size))
        before, after = to_size(before, size), to_size(after, size)
        return torch.where(allowed > 0, self.compose(photo, before, after, allowed).clamp(-1, 1), photo)

    @abstractmethod
    def compose(
        self,
        photo: Float[Tensor, "b c h w"],
        before: Float[Tensor, "b c h w"],
        after: Float[Tensor, "b c h w"],
        allowed: Float[Tensor, "_ 1 h w"],
    ) -> Float[Tensor, "b c h w"]:
        """The picture where a change is allowed, from 0 to 1; not clamped."""

    def allowed(self, mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """How much of a change is let through: all within reach of the mask, and less and less beyond it."""
        side = max(mask.shape[-2:])
        near = grow(mask, round(self.reach * side))
        width = round(self.fade * side)
        far = grow(near, width)
        return near if width == 0 else torch.minimum(smooth(far, width), far).maximum(near)


def grow(mask: Float[Tensor, "b 1 h w"], pixels: int) -> Float[Tensor, "b 1 h w"]:
    """A mask made larger by so many pixels on all sides, corners rounded."""
    for step in range(pixels):  # a square and a cross in turns are nearly a disc
        across = F.max_pool2d(mask, (1, 3), 1, (0, 1))
        down = F.max_pool2d(across if step % 2 else mask, (3, 1), 1, (1, 0))
        mask = across.maximum(down)
    return mask


def smooth(mask: Float[Tensor, "b 1 h w"], pixels: int) -> Float[Tensor, "b 1 h w"]:
    """The mean of a mask over squares that reach so many pixels to all sides, at borders over what there is of them."""
    if pixels == 0:
        return mask
    return F.avg_pool2d(mask, 2 * pixels + 1, 1, pixels, count_include_pad=False)


def to_size(image: Float[Tensor, "b c _ _"], size: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """A picture or a mask of another size."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)
