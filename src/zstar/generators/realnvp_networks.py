"""The network of RealNVP under its published names, ``forward`` being synthesis and ``encode`` the inverse of it."""

import math
from itertools import cycle, islice

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Maps = Float[Tensor, "b _ _ _"]
PerImage = Float[Tensor, " b"]
EDGE = 1 - 2**-24  # of what a picture of single precision can show


def length(weight: Tensor) -> Tensor:
    """The length of the weights of each output channel."""
    return torch.linalg.vector_norm(weight, dim=(1, 2, 3), keepdim=True)


class Normed(nn.Module):
    """A convolution whose weights are a length for each output channel and a direction (Salimans and Kingma 2016,
    https://arxiv.org/abs/1602.07868), in the layout of torch's older ``weight_norm``."""

    def __init__(self, inputs: int, outputs: int, size: int, bias: bool) -> None:
        super().__init__()
        plain = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias)
        self.weight_g = nn.Parameter(length(plain.weight.detach()))
        self.weight_v = nn.Parameter(plain.weight.detach().clone())
        self.bias = plain.bias

    def forward(self, x: Maps) -> Maps:
        weight = self.weight_v * (self.weight_g / length(self.weight_v))
        return F.conv2d(x, weight, self.bias, padding=weight.shape[2] // 2)


class Conv(nn.Module):
    """That convolution, one name deeper."""

    def __init__(self, inputs: int, outputs: int, size: int, bias: bool = True) -> None:
        super().__init__()
        self.conv = Normed(inputs, outputs, size, bias)

    def forward(self, x: Maps) -> Maps:
        return self.conv(x)


class Residual(nn.Module):
    """Two 3×3 convolutions, each behind a batch norm and a ReLU, and what they came from."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_norm, self.in_conv = nn.BatchNorm2d(width), Conv(width, width, 3, bias=False)
        self.out_norm, self.out_conv = nn.BatchNorm2d(width), Conv(width, width, 3)

    def forward(self, x: Maps) -> Maps:
        return x + self.out_conv(self.out_norm(self.in_conv(self.in_norm(x).relu())).relu())


class ScaleShift(nn.Module):
    """The residual network that reads scale and shift out of the part that stays.

    Arguments:
        inputs: Its channels.
        width: Channels inside.
        blocks: Residual blocks; each, and what goes into the first, has its way to the end.
        doubled: Whether half of the pixels are zeros, for which the normalised input is doubled.
    """

    def __init__(self, inputs: int, width: int, blocks: int, doubled: bool) -> None:
        super().__init__()
        self.gain = 2.0 if doubled else 1.0
        self.in_norm, self.in_conv = nn.BatchNorm2d(inputs), Conv(2 * inputs, width, 3)
        self.in_skip = Conv(width, width, 1)
        self.blocks = nn.ModuleList(Residual(width) for _ in range(blocks))
        self.skips = nn.ModuleList(Conv(width, width, 1) for _ in range(blocks))
        self.out_norm, self.out_conv = nn.BatchNorm2d(width), Conv(width, 2 * inputs, 1)
        for begin in (self.out_conv.conv.weight_g, self.out_conv.conv.bias):
            nn.init.zeros_(begin)  # so that a fresh flow changes nothing

    def forward(self, x: Maps) -> tuple[Maps, Maps]:
        x = self.in_norm(x) * self.gain
        x = self.in_conv(torch.cat([x, -x], dim=1).relu())
        total = self.in_skip(x)
        for block, skip in zip(self.blocks, self.skips, strict=True):
            x = block(x)
            total = total + skip(x)
        log_scale, shift = self.out_conv(self.out_norm(total).relu()).chunk(2, dim=1)
        return log_scale, shift


class Rescale(nn.Module):
    """A factor for each channel, as a length and a sign."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight_g, self.weight_v = (nn.Parameter(torch.ones(channels, 1, 1)) for _ in range(2))

    def forward(self, x: Maps) -> Maps:
        return x * (self.weight_g * self.weight_v / self.weight_v.abs())


class Coupling(nn.Module):
    """One part, scaled and shifted by what a network makes of the other.

    Arguments:
        channels: Of the maps.
        width, blocks: Of the network.
        checkered: Whether the parts are the fields of a chessboard, or halves of the channels.
        flipped: Which of the two parts stays: not flipped, the black fields (the upper left one is white), or the
            second half.
    """

    def __init__(self, channels: int, width: int, blocks: int, checkered: bool, flipped: bool) -> None:
        super().__init__()
        self.checkered, self.flipped = checkered, flipped
        inner = channels if checkered else channels // 2
        self.st_net = ScaleShift(inner, width, blocks, doubled=checkered)
        self.rescale = Rescale(inner)

    def forward(self, y: Maps) -> Maps:
        kept, changed, place = self._parts(y)
        log_scale, shift = self._change(kept, place)
        return self._join(kept, changed * (-log_scale).exp() - shift)

    def encode(self, x: Maps) -> tuple[Maps, PerImage]:
        kept, changed, place = self._parts(x)
        log_scale, shift = self._change(kept, place)
        return self._join(kept, (changed + shift) * log_scale.exp()), log_scale.flatten(1).sum(dim=1)

    def _parts(self, x: Maps) -> tuple[Maps, Maps, Tensor | None]:
        """What stays, what is changed, and where that is, if both have the shape of all maps."""
        if not self.checkered:
            first, second = x.chunk(2, dim=1)
            return (first, second, None) if self.flipped else (second, first, None)
        rows, columns = (torch.arange(side, device=x.device) for side in x.shape[2:])
        place = ((rows[:, None] + columns) % 2 == int(self.flipped)).to(x.dtype)
        return x * (1 - place), x * place, place

    def _change(self, kept: Maps, place: Tensor | None) -> tuple[Maps, Maps]:
        log_scale, shift = (part.to(kept.dtype) for part in self.st_net(kept))
        log_scale = self.rescale(log_scale.tanh())
        return (log_scale, shift) if place is None else (log_scale * place, shift * place)

    def _join(self, kept: Maps, changed: Maps) -> Maps:
        if self.checkered:
            return kept + changed
        return torch.cat([kept, changed] if self.flipped else [changed, kept], dim=1)


class Group(nn.ModuleList):
    """Couplings one behind the other."""

    def __init__(self, count: int, channels: int, width: int, blocks: int, checkered: bool) -> None:
        parts = islice(cycle([False, True]), count)
        super().__init__(Coupling(channels, width, blocks, checkered, flipped) for flipped in parts)

    def forward(self, y: Maps) -> Maps:
        for coupling in reversed(self):
            y = coupling(y)
        return y

    def encode(self, x: Maps) -> tuple[Maps, PerImage]:
        total = x.new_zeros(len(x))
        for coupling in self:
            x, log_determinant = coupling.encode(x)
            total = total + log_determinant
        return x, total


def halve(x: Maps) -> tuple[Maps, Maps]:
    """Each 2×2 pixels of a channel as four channels: those of its one diagonal, and those of the other."""
    pixels = F.pixel_unshuffle(x, 2).unflatten(1, (-1, 4))
    first, second = ([pixels[:, :, place] for place in places] for places in ((0, 3), (1, 2)))
    return torch.cat(first, dim=1), torch.cat(second, dim=1)


def join(first: Maps, second: Maps) -> Maps:
    """What :func:`halve` took apart."""
    (a, d), (b, c) = first.chunk(2, dim=1), second.chunk(2, dim=1)
    return F.pixel_shuffle(torch.stack([a, b, c, d], dim=2).flatten(1, 2), 2)


class Scale(nn.Module):
    """The couplings at one height, and within them the next scale, which goes on with half of the numbers."""

    def __init__(self, channels: int, width: int, blocks: int, further: int) -> None:
        super().__init__()
        self.in_couplings = Group(3 if further else 4, channels, width, blocks, checkered=True)
        if further:
            self.out_couplings = Group(3, 4 * channels, 2 * width, blocks, checkered=False)
            self.next_block = Scale(2 * channels, 2 * width, blocks, further - 1)
        self.further = further

    def forward(self, latent: Maps) -> Maps:
        """Maps from latents of the same shape: one half of their numbers goes through the next scale first."""
        if not self.further:
            return self.in_couplings(latent)
        within, split = halve(latent)
        x = F.pixel_unshuffle(join(self.next_block(within), split), 2)
        return self.in_couplings(F.pixel_shuffle(self.out_couplings(x), 2))

    def encode(self, x: Maps) -> tuple[Maps, PerImage]:
        x, total = self.in_couplings.encode(x)
        if not self.further:
            return x, total
        x, mixed = self.out_couplings.encode(F.pixel_unshuffle(x, 2))
        within, split = halve(F.pixel_shuffle(x, 2))
        latent, inner = self.next_block.encode(within)
        return join(latent, split), total + mixed + inner


class RealNVPNetwork(nn.Module):
    """Couplings at all scales, between images in [−1, 1] and normal latents of the same shape.

    Between them are logits: of images that were brought from [0, 1] into the ``data_constraint`` in the middle of it,
    where logits are finite.
    """

    data_constraint: Tensor

    def __init__(self, channels: int, width: int, blocks: int, scales: int) -> None:
        super().__init__()
        self.register_buffer("data_constraint", torch.tensor([0.9]))
        self.flows = Scale(channels, width, blocks, scales - 1)

    @property
    def scales(self) -> list[Scale]:
        """From fine to coarse."""
        found = [self.flows]
        while found[-1].further:
            found.append(found[-1].next_block)
        return found

    def forward(self, latent: Maps) -> Maps:
        return (self.flows(latent) / 2).tanh() / self.data_constraint

    def encode(self, image: Maps) -> tuple[Maps, PerImage]:
        """The latents of images, and the logarithm of the density of images in [0, 1]."""
        logits = 2 * (self.data_constraint * image).clamp(-EDGE, EDGE).atanh()
        slopes = F.softplus(logits) + F.softplus(-logits) + self.data_constraint.log()
        latent, log_determinant = self.flows.encode(logits)
        normal = -0.5 * (latent.square() + math.log(2 * math.pi))
        return latent, log_determinant + (slopes + normal).flatten(1).sum(dim=1)
