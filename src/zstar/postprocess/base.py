"""The protocol of post-processing: the line's last step, from pictures of a generator to a picture of the photo."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import Within, require

FINEST = 512  # pixels of a side on which masks are made; those of larger photos are smooth enough to be scaled up


@dataclass(frozen=True)
class Change:
    """What an edit did to the projection of a photo: what each step of post-processing gets.

    Attributes:
        photo: What was projected, in [−1, 1]; of any size, and what is as large as it keeps its detail.
        before: G(v), the projection, in [−1, 1].
        after: G(v′), the edit, of the size of ``before``; behind another step, the picture that it has made.
        mask: What may change, from 0 to 1, of any size: what was painted; ``None`` for an edit of the whole picture.
        path: From a share of the way to the frame there, like ``before``, which is at 0, and ``after``, which is at 1;
            ``None`` where there is no way but only its end.
        grid: Height and width of the generator's pictures, where ``before`` is none of them.
    """

    photo: Float[Tensor, "b c H W"]
    before: Float[Tensor, "b c h w"]
    after: Float[Tensor, "b c h w"]
    mask: Float[Tensor, "_ 1 _ _"] | None = None
    path: Callable[[float], Float[Tensor, "b c h w"]] | None = None
    grid: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the photo."""
        return self.photo.shape[-2], self.photo.shape[-1]

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width of the generator's pictures."""
        return self.grid or (self.before.shape[-2], self.before.shape[-1])

    def then(self, picture: Float[Tensor, "b c H W"]) -> "Change":
        """What the next step gets: the change from the photo itself to the picture that was made of it."""
        return replace(self, before=self.photo, after=picture, path=None, grid=self.frame)

    def enlarged(self) -> "Change":
        """The same with ``before`` and ``after`` of the photo's size."""
        return replace(self, before=to_size(self.before, self.size), after=to_size(self.after, self.size))


class AbstractPostprocess(ABC):
    """What an edit does to G(v), done to the photo. Its settings come from conf/postprocess/<name>.yaml.

    A photo is never its projection; whoever shows G(v′) shows everywhere what the projection lost. So the pixels of the
    photo stay outside of the reach of what was painted.

    Attributes:
        needs_path: Whether it looks at the way of the edit, so that no other step can stand before it.

    Arguments:
        reach: How far beyond what was painted the change counts in full, in shares of the picture's side.
        fade: How far beyond that it fades to nothing, likewise.
    """

    needs_path: bool = False

    def __init__(self, reach: float, fade: float) -> None:
        require("postprocess", Within(0, 1), reach=reach, fade=fade)
        self.reach, self.fade = reach, fade

    def __call__(self, change: Change) -> Float[Tensor, "b c H W"]:
        """The photo with the change, in [−1, 1], bit for bit itself where none can be."""
        photo = change.photo
        if change.mask is None:
            return self.compose(change, torch.ones_like(photo[:1, :1])).clamp(-1, 1)
        mask = to_size(change.mask.to(photo), mask_size(change.size))
        allowed = to_size(self.allowed(mask), change.size)
        return torch.where(allowed > 0, self.compose(change, allowed).clamp(-1, 1), photo)

    @abstractmethod
    def compose(self, change: Change, allowed: Float[Tensor, "_ 1 H W"]) -> Float[Tensor, "b c H W"]:
        """The picture where a change is allowed, from 0 to 1; not clamped."""

    def allowed(self, mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """How much of a change is let through: all within reach of the mask, and less and less beyond it."""
        side = max(mask.shape[-2:])
        near = grow(mask, round(self.reach * side))
        width = round(self.fade * side)
        far = grow(near, width)
        return near if width == 0 else torch.minimum(smooth(far, width), far).maximum(near)


def mask_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size that masks of a photo of this size are made in."""
    scale = min(1.0, FINEST / max(size))
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


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
