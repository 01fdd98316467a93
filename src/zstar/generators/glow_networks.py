"""The network of Glow under its published names, ``forward`` being synthesis and ``encode`` the inverse of it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Maps = Float[Tensor, "b _ _ _"]
PerImage = Float[Tensor, "..."]  # one number per image, or one for all of them


class ActNorm(nn.Module):
    """A scale and a shift of each channel; in training, the first batch that is encoded sets them so that it comes out
    with mean 0 and deviation 1."""

    initialized: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.register_buffer("initialized", torch.tensor(0, dtype=torch.uint8))
        self._settled = False  # so that a training asks the device once, not at each step

    def forward(self, y: Maps) -> Maps:
        return y / self.scale - self.loc

    def encode(self, x: Maps) -> tuple[Maps, PerImage]:
        if self.training and not self._settled:
            if not self.initialized:
                self._initialize(x)
            self._settled = True
        height, width = x.shape[2:]
        return self.scale * (x + self.loc), height * width * self.scale.abs().log().sum()

    @torch.no_grad()
    def _initialize(self, x: Maps) -> None:
        deviation, mean = torch.std_mean(x, dim=(0, 2, 3), keepdim=True)
        self.loc.copy_(-mean)
        self.scale.copy_(1 / (deviation + 1e-6))
        self.initialized.fill_(1)


class AbstractMixing(nn.Module, ABC):
    """An invertible 1×1 convolution, which mixes the channels."""

    @abstractmethod
    def matrix(self) -> tuple[Tensor, Tensor]:
        """The matrix that images are encoded with, in double precision, and log |det| of it."""

    def forward(self, y: Maps) -> Maps:
        inverse = torch.linalg.inv_ex(self.matrix()[0]).inverse  # which waits for no device
        return F.conv2d(y, inverse.to(y.dtype)[:, :, None, None])

    def encode(self, x: Maps) -> tuple[Maps, PerImage]:
        matrix, log_determinant = self.matrix()
        height, width = x.shape[2:]
        return F.conv2d(x, matrix.to(x.dtype)[:, :, None, None]), height * width * log_determinant.to(x.dtype)


def rotation(channels: int) -> Tensor:
    """A random orthogonal matrix."""
    return torch.linalg.qr(torch.randn(channels, channels)).Q


class PlainMixing(AbstractMixing):
    """Its matrix as it is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(rotation(channels)[:, :, None, None])

    def matrix(self) -> tuple[Tensor, Tensor]:
        matrix = self.weight[:, :, 0, 0].double()
        return matrix, torch.linalg.slogdet(matrix).logabsdet


class LUMixing(AbstractMixing):
    """Its matrix as a fixed permutation times two triangular ones, whose determinant is a sum."""

    w_p: Tensor
    s_sign: Tensor
    l_mask: Tensor
    u_mask: Tensor
    l_eye: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        permutation, lower, upper = torch.linalg.lu(rotation(channels))
        diagonal, ones = upper.diagonal(), torch.ones(channels, channels)
        self.w_l = nn.Parameter(lower)
        self.w_s = nn.Parameter(diagonal.abs().log())
        self.w_u = nn.Parameter(upper.triu(1))
        buffers = {"w_p": permutation, "s_sign": diagonal.sign(), "l_mask": ones.tril(-1), "u_mask": ones.triu(1)}
        for name, value in {**buffers, "l_eye": torch.eye(channels)}.items():
            self.register_buffer(name, value)

    def matrix(self) -> tuple[Tensor, Tensor]:
        lower = (self.w_l * self.l_mask + self.l_eye).double()
        upper = (self.w_u * self.u_mask).double() + torch.diag(self.s_sign.double() * self.w_s.double().exp())
        return self.w_p.double() @ lower @ upper, self.w_s.double().sum()


class ZeroConv(nn.Module):
    """A 3×3 convolution that begins with zeros, with a scale for each channel; beyond the edge there are ones."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3)
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)
        self.scale = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x: Maps) -> Maps:
        return self.conv(F.pad(x, (1, 1, 1, 1), value=1.0)) * (3 * self.scale).exp()


class Coupling(nn.Module):
    """One half of the channels, scaled and shifted, or shifted alone, by what a network makes of the other half."""

    def __init__(self, channels: int, width: int, affine: bool) -> None:
        super().__init__()
        self.affine, half = affine, channels // 2
        first, second = nn.Conv2d(half, width, 3, padding=1), nn.Conv2d(width, width, 1)
        for convolution in (first, second):
            nn.init.normal_(convolution.weight, 0, 0.05)
            nn.init.zeros_(convolution.bias)
        last = ZeroConv(width, channels if affine else half)
        self.net = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)

    def forward(self, y: Maps) -> Maps:
        kept, changed = y.chunk(2, dim=1)
        log_scale, shift = self._change(kept)
        return torch.cat([kept, changed * (-log_scale).exp() - shift], dim=1)

    def encode(self, x: Maps) -> tuple[Maps, PerImage]:
        kept, changed = x.chunk(2, dim=1)
        log_scale, shift = self._change(kept)
        return torch.cat([kept, (changed + shift) * log_scale.exp()], dim=1), log_scale.flatten(1).sum(dim=1)

    def _change(self, kept: Maps) -> tuple[Maps, Maps]:
        if not self.affine:
            shift = self.net(kept).to(kept.dtype)
            return torch.zeros_like(shift), shift
        log_scale, shift = self.net(kept).to(kept.dtype).chunk(2, dim=1)
        return F.logsigmoid(log_scale + 2), shift


class Flow(nn.Module):
    """A step of Glow."""

    def __init__(self, channels: int, width: int, affine: bool, lu: bool) -> None:
        super().__init__()
        self.actnorm = ActNorm(channels)
        self.invconv = (LUMixing if lu else PlainMixing)(channels)
        self.coupling = Coupling(channels, width, affine)

    def forward(self, y: Maps) -> Maps:
        return self.actnorm(self.invconv(self.coupling(y)))

    def encode(self, x: Maps) -> tuple[Maps, PerImage]:
        x, scaled = self.actnorm.encode(x)
        x, mixed = self.invconv.encode(x)
        x, coupled = self.coupling.encode(x)
        return x, scaled + mixed + coupled


class Block(nn.Module):
    """The steps at one resolution, at whose end half of the channels, in the last block all, are latents.

    These have a normal prior whose mean and deviation a convolution reads out of the other half, in the last block out
    of zeros; what goes in and out are its standard normal numbers.
    """

    def __init__(self, channels: int, steps: int, width: int, affine: bool, lu: bool, last: bool) -> None:
        super().__init__()
        self.last, inner = last, 4 * channels
        self.flows = nn.ModuleList(Flow(inner, width, affine, lu) for _ in range(steps))
        self.prior = ZeroConv(inner, 2 * inner) if last else ZeroConv(inner // 2, inner)

    def forward(self, normal: Maps, kept: Maps | None = None) -> Maps:
        """Maps of twice the height from latents, and in all but the last block from the maps of the next one."""
        mean, log_deviation = self._prior(normal if kept is None else kept)
        latent = mean + log_deviation.exp() * normal
        x = latent if kept is None else torch.cat([kept, latent], dim=1)
        for flow in reversed(self.flows):
            x = flow(x)
        return F.pixel_shuffle(x, 2)

    def encode(self, x: Maps) -> tuple[Maps, Maps, PerImage]:
        """What is kept for the next block, the latents, and log |det|."""
        x, total = F.pixel_unshuffle(x, 2), 0.0
        for flow in self.flows:
            x, log_determinant = flow.encode(x)
            total = total + log_determinant
        kept, latent = (x, x) if self.last else x.chunk(2, dim=1)
        mean, log_deviation = self._prior(kept)
        normal = (latent - mean) * (-log_deviation).exp()
        return kept, normal, total - log_deviation.flatten(1).sum(dim=1)

    def _prior(self, kept: Maps) -> tuple[Maps, Maps]:
        return self.prior(torch.zeros_like(kept) if self.last else kept).to(kept.dtype).chunk(2, dim=1)


class GlowNetwork(nn.Module):
    """Blocks from fine to coarse.

    Arguments:
        channels: Colours.
        steps: Flows of each block.
        width: Channels within a coupling.
        affine: Whether couplings scale.
        lu: For each block, whether its 1×1 convolutions are kept as triangular matrices.
    """

    def __init__(self, channels: int, steps: int, width: int, affine: bool, lu: Sequence[bool]) -> None:
        super().__init__()
        count = len(lu)
        self.blocks = nn.ModuleList(
            Block(channels * 2**i, steps, width, affine, lu[i], i == count - 1) for i in range(count)
        )

    def shapes(self, channels: int, resolution: int) -> list[tuple[int, int, int]]:
        """Shape of the latents of each block, for images of this size."""
        sizes = [(channels * 2 ** (i + 1), resolution // 2 ** (i + 1)) for i in range(len(self.blocks))]
        sizes[-1] = (2 * sizes[-1][0], sizes[-1][1])
        return [(depth, side, side) for depth, side in sizes]

    def forward(self, latents: Sequence[Maps]) -> Maps:
        """Images, nominally in [−½, ½], from standard normal latents."""
        x = None
        for block, normal in zip(reversed(self.blocks), reversed(latents), strict=True):
            x = block(normal, x)
        return x

    def encode(self, images: Maps) -> tuple[list[Maps], Float[Tensor, " b"]]:
        """The latents of images, and the logarithm of their density."""
        x, latents, density = images, [], 0.0
        for block in self.blocks:
            x, normal, log_determinant = block.encode(x)
            latents.append(normal)
            density = density + log_determinant - 0.5 * (normal.square() + math.log(2 * math.pi)).flatten(1).sum(dim=1)
        return latents, density
