"""The layers of a PGGAN, under the names of GAN Dissection."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.generators.folding import folded

SLOPE = 0.2  # of every leaky ReLU
SQRT2 = math.sqrt(2)


def pixel_norm(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Scale each pixel to a root mean square of one over the channels."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # half of the time of a mean of squares, on a CPU
    return x * (length.square() / x.shape[1] + 1e-8).rsqrt()


class ScaledConv2d(nn.Module):
    """A convolution without bias, whose kernels are stored at unit variance and scaled when used.

    New ones begin with a mean of zero over their inputs. Leaky ReLUs give all channels the same positive mean, which
    pixel norm leaves as it is; passed on, it would outgrow layer by layer what tells one z from another, and an
    untrained network would draw all images in the same colours (cf. https://arxiv.org/abs/2101.08692, section 2.3).
    """

    def __init__(self, inputs: int, outputs: int, size: int, padding: int, gain: float) -> None:
        super().__init__()
        weight = torch.randn(outputs, inputs, size, size)
        self.weight = nn.Parameter(weight - weight.mean(dim=(1, 2, 3), keepdim=True))
        self.padding, self.scale = padding, gain / math.sqrt(inputs * size * size)

    def forward(self, x: Float[Tensor, "b i h w"], bias: Float[Tensor, " o"]) -> Float[Tensor, "b o h2 w2"]:
        weight = folded(self, "weight", lambda weight: weight * self.scale, self.weight)
        return F.conv2d(x, weight, bias, padding=self.padding)


class Bias(nn.Module):
    """A number for each channel, added by the convolution; ``wscale`` of the published networks, whose scale is in the
    kernels here."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros(channels))

    def forward(self, convolution: ScaledConv2d, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        return convolution(x, self.b)


class Block(nn.Module):
    """Pixel norm, up-sampling to the nearest pixel, convolution, leaky ReLU: one layer. Its output is what units show.

    Arguments:
        size, padding: Of the kernels.
        up: Whether the convolution is at twice the size.
        colours: Whether it makes the image, with gain 1 instead of √2 and without leaky ReLU.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int, padding: int, up: bool = False, colours: bool = False
    ) -> None:
        super().__init__()
        self.conv = ScaledConv2d(inputs, outputs, size, padding, 1.0 if colours else SQRT2)
        self.wscale = Bias(outputs)
        self.up, self.colours = up, colours

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        x = pixel_norm(x)
        if self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.wscale(self.conv, x)
        return x if self.colours else F.leaky_relu(x, SLOPE)
