"""The layers of StyleGAN2: equalised linear maps, modulated convolutions, up-sampling by a small FIR filter.

Names of parameters and buffers are those of the official networks, so that official weights load as they are.
Style modulation scales the *input* of a convolution and demodulation its *output*; this equals scaling the weights for
each image (Karras et al. 2020, https://arxiv.org/abs/1912.04958, eq. 1–3), and one plain convolution serves the batch.

Every parameter may have a batch in front of its shape, ``[b, *shape]``: weights of each image's own, as
``torch.func.functional_call`` puts them in.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.generators.folding import folded
from zstar.generators.stylegan2_functions import SLOPE, Activate, MixPixels, Smooth

SQRT2 = math.sqrt(2)  # the official gain behind a leaky ReLU; it commutes, so it is folded into what comes before


class EqualLinear(nn.Module):
    """A linear map whose weights are stored at unit variance and scaled when used.

    Arguments:
        inputs, outputs: Features.
        lr_multiplier: Weights are stored divided by it, so that they learn slower by this factor.
        bias_init: Initial value of the bias.
        activate: Leaky ReLU with gain √2 behind the map.
    """

    def __init__(
        self, inputs: int, outputs: int, lr_multiplier: float = 1.0, bias_init: float = 0.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias_init / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(inputs)
        self.bias_gain = lr_multiplier
        self.activate = activate

    def forward(self, x: Float[Tensor, "b inputs"]) -> Float[Tensor, "b outputs"]:
        weight = folded(self, "weight", lambda weight: weight * self.weight_gain, self.weight)
        bias = folded(self, "bias", lambda bias: bias * self.bias_gain, self.bias)
        y = linear(x, weight, bias)
        return F.leaky_relu(y, SLOPE) * SQRT2 if self.activate else y


def linear(
    x: Float[Tensor, "b inputs"], weight: Float[Tensor, "*b outputs inputs"], bias: Tensor | None = None
) -> Float[Tensor, "b outputs"]:
    """A linear map, by the weights of all images or by those of each image."""
    if weight.dim() == 2 and (bias is None or bias.dim() == 1):
        return F.linear(x, weight, bias)
    y = (weight @ x[..., None])[..., 0]
    return y if bias is None else y + bias


def convolve(x: Float[Tensor, "b i h w"], weight: Float[Tensor, "*b o i k k"]) -> Float[Tensor, "b o h w"]:
    """A convolution that keeps the size, by the weights of all images or by those of each image."""
    padding = weight.shape[-1] // 2
    if weight.dim() == 4:
        return F.conv2d(x, weight, padding=padding)
    return own(partial(F.conv2d, padding=padding), x, weight)


def own(
    convolution: Callable[..., Tensor], x: Float[Tensor, "b i h w"], weights: Float[Tensor, "b m n k k"]
) -> Float[Tensor, "b o h2 w2"]:
    """A convolution of each image by its own weights, whose last four dimensions are as ``convolution`` takes them.

    On a CPU, groups take up to one and a half times as long as an image after the other, and their gradients are wrong
    (torch 2.15) where a batch of one lies in memory as channels_last.
    """
    return (one_by_one if x.device.type == "cpu" else grouped)(convolution, x, weights)


def one_by_one(convolution: Callable[..., Tensor], x: Tensor, weights: Tensor) -> Tensor:
    """A convolution after the other."""
    return torch.cat([convolution(image, weight) for image, weight in zip(x.split(1), weights, strict=True)])


def grouped(convolution: Callable[..., Tensor], x: Tensor, weights: Tensor) -> Tensor:
    """One convolution of as many groups as there are images."""
    rows = x.contiguous().view(1, -1, *x.shape[2:])
    y = convolution(rows, weights.flatten(0, 1).contiguous(), groups=len(weights)).contiguous()
    return y.view(len(weights), -1, *y.shape[2:])


def upsample(x: Float[Tensor, "b c h w"], fir: Float[Tensor, "k k"]) -> Float[Tensor, "b c h2 w2"]:
    """Twice the size: zeros between the pixels, then the FIR filter (which sums to one) with gain 4."""
    channels, taps = x.shape[1], fir.shape[0]
    kernel = (4 * fir).expand(channels, 1, taps, taps)
    # With an even filter of k taps, the official padding is ((k+1)//2, (k-2)//2) around the zero-stuffed image.
    return F.conv_transpose2d(x, kernel, stride=2, padding=(taps - 2) // 2, groups=channels)


def upsampling_convolution(
    x: Float[Tensor, "b i h w"], weight: Float[Tensor, "*b o i 3 3"], fir: Float[Tensor, "k k"]
) -> Float[Tensor, "b o h2 w2"]:
    """A 3×3 convolution onto twice the size, smoothed by the FIR filter."""
    if weight.dim() == 4:
        y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    else:
        y = own(partial(F.conv_transpose2d, stride=2), x, weight.transpose(1, 2))
    return Smooth.apply(y, 4 * fir.flip(0, 1), (len(fir) - 2) // 2)


def clamp(x: Tensor, limit: float | None) -> Tensor:
    """``x`` held within ±limit; unchanged where there is no limit."""
    return x if limit is None else x.clamp(-limit, limit)


def per_image(value: Float[Tensor, "*b"]) -> Tensor:
    """A number, or one of each image, in a shape that multiplies maps ``[b, c, h, w]``."""
    return value.view(-1, 1, 1, 1) if value.dim() else value


class StyledConv(nn.Module):
    """Modulated 3×3 convolution, demodulation, noise, bias, leaky ReLU: the official ``SynthesisLayer``."""

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, resolution: int, up: bool, fir: Tensor, conv_clamp: float | None
    ) -> None:
        super().__init__()
        self.up = up
        self.conv_clamp = conv_clamp
        self.affine = EqualLinear(w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", fir.clone())

    def forward(
        self, x: Float[Tensor, "b i h w"], style: Float[Tensor, "b i"], noise: Tensor | None, gain: float = 1.0
    ) -> Float[Tensor, "b o h2 w2"]:
        gain = gain * SQRT2
        energy = folded(self, "energy", lambda weight: weight.square().sum(dim=(-2, -1)), self.weight)
        bias = folded(self, f"bias {gain}", lambda bias: bias * gain, self.bias)
        demodulation = (linear(style.square(), energy) + 1e-8).rsqrt()
        x = x * style[:, :, None, None]
        if self.up:
            x = upsampling_convolution(x, self.weight, self.resample_filter)
        else:
            x = convolve(x, self.weight)
        noise = None if noise is None else noise * self._strength(gain)
        x = Activate.apply(x, demodulation * gain, bias, noise)
        return clamp(x, None if self.conv_clamp is None else self.conv_clamp * gain / SQRT2)

    def _silent(self) -> bool:
        """Whether noise adds nothing; read once, as a GPU waits for that."""
        return folded(self, "silent", lambda strength: not strength.any().item(), self.noise_strength)

    def _strength(self, gain: float) -> Tensor:
        return folded(self, f"strength {gain}", lambda strength: per_image(strength) * gain, self.noise_strength)

    def noise(self, mode: str | Tensor, batch: int) -> Tensor | None:
        """The noise map of this layer, or None where it adds nothing."""
        if isinstance(mode, str) and mode == "none":
            return None
        strength = self.noise_strength
        wanted = strength.requires_grad or (isinstance(mode, Tensor) and mode.requires_grad)
        if not wanted and isinstance(strength, nn.Parameter) and self._silent():
            return None
        if isinstance(mode, Tensor):
            return mode
        if mode == "const":
            return self.noise_const[None, None]
        return torch.randn(batch, 1, *self.noise_const.shape, device=strength.device, dtype=strength.dtype)


class ToRGB(nn.Module):
    """Modulated 1×1 convolution to colours, without demodulation: the official ``ToRGBLayer``."""

    def __init__(self, inputs: int, channels: int, w_dim: int, conv_clamp: float | None) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = EqualLinear(w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.weight_gain = 1 / math.sqrt(inputs)

    def forward(self, x: Float[Tensor, "b i h w"], style: Float[Tensor, "b i"]) -> Float[Tensor, "b c h w"]:
        # So few outputs that a weight per image costs less than a scaled copy of the input.
        weight = self.weight[..., 0, 0] * (style * self.weight_gain)[:, None, :]
        return clamp(MixPixels.apply(x, weight) + self.bias[..., None, None], self.conv_clamp)


class SkipConv(nn.Module):
    """The 1×1 up-sampling shortcut of the ``resnet`` architecture."""

    def __init__(self, inputs: int, outputs: int, fir: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.weight_gain = 1 / math.sqrt(inputs)
        self.register_buffer("resample_filter", fir.clone())

    def forward(self, x: Float[Tensor, "b i h w"], gain: float) -> Float[Tensor, "b o h2 w2"]:
        scale = self.weight_gain * gain
        return upsample(
            convolve(x, folded(self, f"weight {scale}", lambda weight: weight * scale, self.weight)),
            self.resample_filter,
        )
