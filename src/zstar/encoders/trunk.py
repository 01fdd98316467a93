"""The residual trunk of encoders."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.annotators.resnet import Residual
from zstar.config.constraints import Within, require

SMALLEST = 4


class Trunk(nn.Module):
    """Residual blocks with group norm, from half the size of the images down to 4×4, whatever that size is.

    Arguments:
        resolution: Height and width of the images, in pixels.
        channels: Their colour channels.
        width: Channels at half size, a multiple of 8; they double with each halving of the map.
        width_max: Most channels of a map, a multiple of 8.
        blocks: Residual blocks per size.
        input_size: Larger images are brought to this side first (area), as pSp does with 256; null never.

    Attributes:
        widths: Channels of each map, fine to coarse.
        sizes: Side of each map.
    """

    def __init__(
        self, resolution: int, channels: int, width: int, width_max: int, blocks: int, input_size: int | None
    ) -> None:
        super().__init__()
        require("encoder", Within(8, 2**16), width=width, width_max=width_max)
        require("encoder", Within(1, 64), blocks=blocks)
        require("encoder", Within(8), input_size=8 if input_size is None else input_size)
        if width % 8 or width_max % 8:
            raise ValueError(f"encoder.width: {width} and width_max {width_max} must be multiples of 8; choose e.g. 32")
        self.input_size = min(resolution, input_size or resolution)
        self.sizes = tuple(_halves(self.input_size))
        self.widths = tuple(min(width * 2**level, width_max) for level in range(len(self.sizes)))
        self.stem = nn.Conv2d(channels, self.widths[0], 5, stride=2, padding=2)
        self.stages = nn.ModuleList()
        for level, target in enumerate(self.widths):
            source = self.widths[max(0, level - 1)]
            first = Residual(source, target, 2 if level else 1)
            self.stages.append(nn.Sequential(first, *(Residual(target, target, 1) for _ in range(blocks - 1))))

    def forward(self, images: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """The maps after each stage, fine to coarse."""
        if images.shape[-1] > self.input_size:
            images = F.interpolate(images, size=(self.input_size, self.input_size), mode="area")
        x, maps = self.stem(images.contiguous(memory_format=torch.channels_last)), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def _halves(size: int) -> Iterator[int]:
    while (size := (size + 1) // 2) >= SMALLEST:
        yield size
