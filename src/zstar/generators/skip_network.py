"""The hourglass with skip connections whose structure alone is a prior of pictures.

Every parameter may have a batch in front of its shape, ``[b, *shape]``: weights of each image's own, as
``torch.func.functional_call`` puts them in.
"""

import math
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.generators.stylegan2_layers import own

SLOPE = 0.2  # of every leaky ReLU


class Normalize(nn.Module):
    """Brings each map of each image to mean 0 and variance 1, and then to a learned mean and spread."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        weight, bias = (value.expand(len(x), -1).reshape(-1) for value in (self.weight, self.bias))
        maps = x.reshape(1, -1, *x.shape[2:])  # as of one image, whose channels know nothing of each other
        return F.batch_norm(maps, None, None, weight, bias, training=True).view_as(x)


class Filter(nn.Module):
    """A convolution over the mirrored edge, normalisation, leaky ReLU; the normalisation would undo any bias."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, rng: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(initial((outputs, inputs, size, size), rng))
        self.norm = Normalize(outputs)
        self.stride = stride

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        edge = self.weight.shape[-1] // 2
        x = F.pad(x, [edge] * 4, mode="reflect") if edge else x
        return F.leaky_relu(self.norm(convolve(x, self.weight, self.stride)), SLOPE)


class Up(nn.Module):
    """Twice the size, bilinear, joined with what skipped the levels below."""

    def __init__(self, inner: int, skip: int, outputs: int, rng: torch.Generator) -> None:
        super().__init__()
        self.norm = Normalize(inner + skip)
        self.filter = Filter(inner + skip, outputs, 3, 1, rng)
        self.mix = Filter(outputs, outputs, 1, 1, rng)

    def forward(self, x: Float[Tensor, "b i h w"], side: Float[Tensor, "b s h2 w2"]) -> Float[Tensor, "b o h2 w2"]:
        large = F.interpolate(x, size=side.shape[2:], mode="bilinear", align_corners=False)
        return self.mix(self.filter(self.norm(torch.cat([side, large], dim=1))))


class SkipNetwork(nn.Module):
    """``scales`` times down and up again, with a few maps of each size that skip what lies below.

    Arguments:
        inputs, width, skip, channels: Maps of the input, of each level, of each skip connection, of the output.
        scales: How often the size is halved.
        rng: Where the initial weights come from.
    """

    def __init__(self, inputs: int, width: int, skip: int, channels: int, scales: int, rng: torch.Generator) -> None:
        super().__init__()
        sizes = [inputs] + [width] * scales
        self.sides = nn.ModuleList(Filter(i, skip, 1, 1, rng) for i in sizes[:-1])
        self.downs = nn.ModuleList(
            nn.Sequential(Filter(i, o, 3, 2, rng), Filter(o, o, 3, 1, rng)) for i, o in pairwise(sizes)
        )
        self.ups = nn.ModuleList(Up(width, skip, width, rng) for _ in range(scales))  # the smallest one first
        self.weight = nn.Parameter(initial((channels, width, 1, 1), rng))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b c h w"]:
        kept = []
        for side, down in zip(self.sides, self.downs, strict=True):
            kept.append(side(x))
            x = down(x)
        for up, side in zip(self.ups, reversed(kept), strict=True):
            x = up(x, side)
        return convolve(x, self.weight, 1) + self.bias[..., None, None]


def convolve(
    x: Float[Tensor, "b i h w"], weight: Float[Tensor, "*b o i k k"], stride: int
) -> Float[Tensor, "b o h2 w2"]:
    """A convolution without padding, by the weights of all images or by those of each image."""
    if weight.dim() == 4:
        return F.conv2d(x, weight, stride=stride)
    return own(partial(F.conv2d, stride=stride), x, weight)


def initial(shape: tuple[int, int, int, int], rng: torch.Generator) -> Tensor:
    """Weights as torch's layers begin with, uniform within ±1/√(what is summed up)."""
    return (torch.rand(shape, generator=rng) * 2 - 1) / math.sqrt(math.prod(shape[1:]))
