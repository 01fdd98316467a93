"""The parts of BigGAN in ajbrock's layout, under their official names."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.checkpoints.biggan import Sizes
from zstar.generators.biggan_layers import SHARE, Attention, ConditionalNorm, PlainNorm, SpectralLayer
from zstar.generators.layout import channels_last
from zstar.generators.sizes import require_new

SHRINKING = 128  # a map of r pixels has SHRINKING // r times the width as its channels
LARGEST = 16  # times the width, at the most


class Block(nn.Module):
    """A residual block of two convolutions, which doubles the size."""

    def __init__(self, inputs: int, outputs: int, up: bool, norm: Callable[[int], nn.Module], eps: float) -> None:
        super().__init__()
        self.up = up
        self.bn1, self.bn2 = norm(inputs), norm(outputs)
        self.conv1 = SpectralLayer(inputs, outputs, 3, eps=eps)
        self.conv2 = SpectralLayer(outputs, outputs, 3, eps=eps)
        self.conv_sc = SpectralLayer(inputs, outputs, 1, eps=eps)

    def forward(self, x: Float[Tensor, "b i h w"], y: Float[Tensor, "b k"]) -> Float[Tensor, "b o h2 w2"]:
        h = self.bn1(x, y).relu()
        # A convolution of one pixel and doubling commute, and it is four times as cheap before.
        shortcut = self.conv_sc(x)
        if self.up:
            h, shortcut = F.interpolate(h, scale_factor=2), F.interpolate(shortcut, scale_factor=2)
        h = self.conv2(self.bn2(self.conv1(h), y).relu())
        return h + shortcut


class Stage(nn.ModuleList):
    """A block, and the attention behind it if there is any; a feature map."""

    def forward(self, x: Float[Tensor, "b i h w"], y: Float[Tensor, "b k"]) -> Float[Tensor, "b o h2 w2"]:
        for part in self:
            x = part(x, y)
        return x


class Network(nn.Module):
    """BigGAN: z and the vector of a class → image.

    Arguments:
        sizes: Its sizes.
        bn_eps, sn_eps: Of batch norm and of spectral norm.
    """

    def __init__(self, sizes: Sizes, bn_eps: float, sn_eps: float) -> None:
        super().__init__()
        self.bottom, self.hierarchical = sizes.bottom, sizes.hierarchical
        self.part = sizes.z_dim // (len(sizes.blocks) + 1) if sizes.hierarchical else sizes.z_dim
        norm = make_norm(sizes.shared_dim + self.part * sizes.hierarchical, bn_eps, sn_eps)
        self.shared = make_embedding(sizes)
        self.linear = SpectralLayer(self.part, sizes.blocks[0][0] * sizes.bottom**2, eps=sn_eps)
        self.blocks = make_stages(sizes, partial(Block, norm=norm, eps=sn_eps), sn_eps)
        self.output_layer = make_output(sizes, sn_eps)

    def embed(self, classes: Float[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        """The vectors of classes, by their shares."""
        return classes @ self.shared.weight

    def forward(self, z: Float[Tensor, "b z"], y: Float[Tensor, "b d"]) -> Float[Tensor, "b c h w"]:
        first, *others = z.split(self.part, dim=1)
        conditions = [torch.cat([y, own], dim=1) for own in others] if self.hierarchical else [y] * len(self.blocks)
        x = first_map(self.linear(first), self.bottom)
        for stage, condition in zip(self.blocks, conditions, strict=True):
            x = stage(x, condition)
        return self.output_layer(x).tanh()


def first_map(x: Float[Tensor, "b _"], bottom: int) -> Float[Tensor, "b c h w"]:
    """The first layer's output as a map, whose channels come first."""
    return channels_last(x.unflatten(1, (-1, bottom, bottom)))


def fresh_maps(resolution: int, channels: int, width: int, attention: Sequence[int]) -> dict[int, int]:
    """Height of each map of a fresh network → its channels, as published for images of up to 128 pixels.

    Raises:
        ValueError: There is no such network; one sentence with the key.
    """
    require_new(resolution, channels)
    sizes = [2**i for i in range(2, resolution.bit_length())]
    maps = {size: width * max(1, min(LARGEST, SHRINKING // size)) for size in sizes}
    for size in attention:
        if size not in sizes[1:]:
            known = ", ".join(map(str, sizes[1:]))
            raise ValueError(f"generator.attention: there is no map of {size} pixels; choose from {known}, or []")
        if maps[size] < SHARE:
            raise ValueError(f"generator.width: {width} leaves the attention less than {SHARE} channels; raise it")
    return maps


def make_stages(sizes: Sizes, block: Callable[..., nn.Module], eps: float) -> nn.ModuleList:
    """All blocks; ``block`` makes one of its channels and of whether it doubles the size."""
    stages = [[block(*each)] for each in sizes.blocks]
    for place in sizes.attention:
        stages[place].append(Attention(sizes.blocks[place][1], eps))
    return nn.ModuleList(Stage(stage) for stage in stages)


def make_norm(inputs: int, bn_eps: float, sn_eps: float) -> Callable[[int], nn.Module]:
    """What makes a batch norm of some channels, conditioned by a vector of length ``inputs``."""
    return lambda width: ConditionalNorm(width, inputs, bn_eps, sn_eps)


def make_output(sizes: Sizes, eps: float) -> nn.Sequential:
    """What makes colours of the last map."""
    width = sizes.blocks[-1][1]
    return nn.Sequential(PlainNorm(width), nn.ReLU(), SpectralLayer(width, sizes.channels, 3, eps=eps))


def make_embedding(sizes: Sizes) -> nn.Embedding:
    """The vectors of the classes."""
    made = nn.Embedding(sizes.classes, sizes.shared_dim)
    nn.init.orthogonal_(made.weight)
    return made
