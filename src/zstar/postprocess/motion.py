"""Where things of a picture come from in another, and how their colours change: dense flow and affine colour."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.postprocess.guided import scale_along


@dataclass(frozen=True)
class Motion:
    """y(p) = gain(p) · x(p + flow(p)) + offset(p), colour by colour.

    Attributes:
        flow: Where a pixel comes from, across and down, in pixels of this grid.
        gain, offset: How its colours change.
    """

    flow: Float[Tensor, "b 2 h w"]
    gain: Float[Tensor, "b c h w"]
    offset: Float[Tensor, "b c h w"]

    @classmethod
    def none(cls, like: Float[Tensor, "b c h w"]) -> "Motion":
        """Everything stays."""
        return cls(torch.zeros_like(like[:, :1]).repeat(1, 2, 1, 1), torch.ones_like(like), torch.zeros_like(like))

    def split(self, size: int) -> list["Motion"]:
        """Those of so many images at a time."""
        parts = zip(self.flow.split(size), self.gain.split(size), self.offset.split(size), strict=True)
        return [Motion(*part) for part in parts]

    def resized(self, size: tuple[int, int]) -> "Motion":
        """The same on another grid, with its flow in pixels of that."""
        height, width = self.flow.shape[-2:]
        if (height, width) == tuple(size):
            return self
        scale = self.flow.new_tensor([size[1] / width, size[0] / height]).view(1, 2, 1, 1)
        flow, gain, offset = (_resize(one, size) for one in (self.flow, self.gain, self.offset))
        return Motion(flow * scale, gain, offset)

    def along(self, photo: Float[Tensor, "b c H W"], likeness: float) -> "Motion":
        """The same on the grid of a photo; where nothing moves in an image, its colours change along the edges of the
        photo (:func:`~zstar.postprocess.guided.scale_along`)."""
        height, width = self.flow.shape[-2:]
        size, still = (photo.shape[-2], photo.shape[-1]), self.moves() == 0
        plain = self.resized(size)
        if size == (height, width) or not still.any():
            return plain
        small = F.interpolate(photo, size=(height, width), mode="area")
        change = torch.cat([self.gain - 1, self.offset], dim=1)  # where that is zero, the photo stays bit for bit
        gain, offset = scale_along(change, photo, small, likeness).chunk(2, dim=1)
        return choose(still.flatten(), Motion(plain.flow, 1 + gain, offset), plain)

    def after(self, first: "Motion") -> "Motion":
        """This one behind another: y = self(first(x))."""
        gain, offset, flow = (sample(one, self.flow) for one in (first.gain, first.offset, first.flow))
        return Motion(self.flow + flow, self.gain * gain, self.gain * offset + self.offset)

    def apply(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The picture moved, of the size of this grid; what comes from beyond the border is that of the border. A pixel
        that neither moves nor changes its colour is itself, bit for bit."""
        still = (self.flow == 0).all(dim=1, keepdim=True)
        return self.gain * torch.where(still, image, sample(image, self.flow, "bicubic")) + self.offset

    def moves(self) -> Float[Tensor, "b 1 1 1"]:
        """1 for the images in which something moves, 0 for those whose colours alone change."""
        return (self.flow != 0).any(dim=(1, 2, 3), keepdim=True).to(self.flow)

    def within(self) -> Float[Tensor, "b 1 h w"]:
        """1 where a pixel comes from within the picture, 0 where from half a pixel beyond its border or more."""
        height, width = self.flow.shape[-2:]
        x, y = (_grid(self.flow) + self.flow).unbind(dim=1)
        inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
        return inside[:, None].to(self.flow)


def sample(image: Float[Tensor, "b c h w"], flow: Float[Tensor, "b 2 h w"], mode: str = "bilinear") -> Tensor:
    """image(p + flow(p)); the border goes on beyond itself."""
    height, width = image.shape[-2:]
    size = image.new_tensor([width, height]).view(1, 2, 1, 1)
    places = (2 * (_grid(flow) + flow) + 1) / size - 1
    return F.grid_sample(image, places.movedim(1, -1), mode, padding_mode="border", align_corners=False)


def _grid(like: Float[Tensor, "b _ h w"]) -> Float[Tensor, "1 2 h w"]:
    """Each pixel's own place, across and down."""
    height, width = like.shape[-2:]
    y, x = torch.meshgrid(
        *(torch.arange(n, device=like.device, dtype=like.dtype) for n in (height, width)), indexing="ij"
    )
    return torch.stack([x, y])[None]


def _resize(values: Tensor, size: tuple[int, int]) -> Tensor:
    smaller = size[0] < values.shape[-2]
    return F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=False, antialias=smaller)


def choose(condition: Tensor, yes: Motion, no: Motion) -> Motion:
    """``yes`` for the images whose condition ``[b]`` holds, ``no`` for the others."""
    where = condition.view(-1, 1, 1, 1)
    pairs = zip((yes.flow, yes.gain, yes.offset), (no.flow, no.gain, no.offset), strict=True)
    return Motion(*(torch.where(where, a, b) for a, b in pairs))
