"""A world of which it is known which units do what: ground below a horizon, and a ball on it in most pictures."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from zstar.dissection.base import Subject
from zstar.generators.base import AbstractGenerator
from zstar.generators.module import Module
from zstar.segmenters.base import AbstractSegmenter

LAYER, UNITS, SIZE = "maps", 8, 16
SKY, GROUND, BALL = range(3)
BALLS, WEAK, FRAIL, IDLE = (
    (0, 1),
    2,
    3,
    4,
)  # units that make balls, that help a little, that make ground, that do nothing


class Painter(nn.Module):
    """z [b, 4] → maps of 8 units [b, 8, 8, 8] → pictures [b, 3, 16, 16]: blue sky, green ground, red ball."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Identity()
        mix = torch.zeros(3, UNITS, 1, 1)
        mix[0, BALLS[0]] = mix[0, BALLS[1]] = 2.0
        mix[0, WEAK] = 0.2
        mix[1, FRAIL], mix[2, FRAIL] = 2.0, -2.0
        self.mix = nn.Parameter(mix)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
        top = (4 + z[:, 2, None, None].clamp(-1, 1)).round()
        left, height = (3.5 + 2 * z[:, 0, None, None].clamp(-1, 1)).round(), 3.0
        there = (z[:, 1, None, None] > -0.7) & (x >= left - 1) & (x < left + 2) & (y >= top) & (y < top + height)
        ball, ground = there.float(), (y >= top).float().expand(len(z), -1, -1)
        idle = 0.1 * torch.sin(z.sum(dim=1)[:, None, None, None] + torch.arange(UNITS - IDLE)[:, None, None])
        some = torch.stack([ball, 0.8 * ball, ball, ground], dim=1)
        values = self.maps(torch.cat([some, idle.expand(-1, -1, 8, 8)], dim=1))
        bias = torch.tensor([-1.0, -1.0, 1.0]).view(3, 1, 1)
        return F.interpolate((F.conv2d(values, self.mix) + bias), scale_factor=2.0).clamp(-1, 1)


class Colours(AbstractSegmenter):
    """A pixel is of the class whose colour it has most of; red counts most."""

    classes: Sequence[str] = ("sky", "ground", "ball")
    kinds: Mapping[str, str] = {"sky": "object", "ground": "material", "ball": "object"}

    def __init__(self, sharpness: float = 4.0) -> None:
        super().__init__()
        self.sharpness = sharpness

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        red, green, blue = images.unbind(dim=1)
        return self.sharpness * torch.stack([blue, green, 1.5 * red + 0.2], dim=1)

    def require_images(self, generator: AbstractGenerator) -> None:
        """Any."""


def subject(samples: int = 64) -> Subject:
    """The world, and two who look at it."""
    return Subject(Module(Painter(), [4], layers=[LAYER]), Colours(), Colours(3.0), [LAYER], samples, batch=32)
