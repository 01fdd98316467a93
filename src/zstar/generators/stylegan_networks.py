"""The two networks of the StyleGAN of 2018, under the names that genforce has for them.

Unlike in StyleGAN2, the gain √2 is in the scale of the weights and not behind the leaky ReLU, and styles scale and
shift feature maps behind an instance norm.
"""

import math
from collections.abc import Collection, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.generators.folding import folded
from zstar.generators.layout import channels_last
from zstar.generators.stylegan2_functions import SLOPE, Smooth

SQRT2 = math.sqrt(2)
BLUR = (1.0, 2.0, 1.0)


class Weight(nn.Module):
    """Weights that are stored without scale, at unit variance over their learning-rate multiplier."""

    def __init__(self, *shape: int, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*shape) / lr_multiplier)


class Bias(nn.Module):
    """Biases alone."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(size))


class Dense(nn.Module):
    """A linear map whose weights are scaled when used.

    Arguments:
        gain: Standard deviation that the outputs have of inputs with 1, at first.
        lr_multiplier: Weights are stored divided by it, so that they learn slower by this factor.
        activate: Whether a leaky ReLU stands behind it.
    """

    def __init__(
        self, inputs: int, outputs: int, gain: float, lr_multiplier: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.linear = Weight(outputs, inputs, lr_multiplier=lr_multiplier)
        self.wscale = Bias(outputs)
        self.scale, self.lr_multiplier, self.activate = (
            gain * lr_multiplier / math.sqrt(inputs),
            lr_multiplier,
            activate,
        )

    def forward(self, x: Float[Tensor, "b inputs"]) -> Float[Tensor, "b outputs"]:
        weight = folded(self, "weight", lambda weight: weight * self.scale, self.linear.weight)
        bias = folded(self, "bias", lambda bias: bias * self.lr_multiplier, self.wscale.bias)
        y = F.linear(x, weight, bias)
        return F.leaky_relu(y, SLOPE) if self.activate else y


class MappingNetwork(nn.Module):
    """z → w."""

    def __init__(self, z_dim: int, hidden_dim: int, w_dim: int, layers: int, lr_multiplier: float = 0.01) -> None:
        super().__init__()
        self.depth = layers
        for i in range(layers):
            inputs, outputs = hidden_dim if i else z_dim, w_dim if i == layers - 1 else hidden_dim
            self.add_module(f"dense{i}", Dense(inputs, outputs, SQRT2, lr_multiplier, activate=True))

    def forward(self, z: Float[Tensor, "b z"]) -> Float[Tensor, "b w"]:
        x = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for i in range(self.depth):
            x = self.get_submodule(f"dense{i}")(x)
        return x


class Truncation(nn.Module):
    """The mean of w, which it follows in training."""

    w_avg: Tensor

    def __init__(self, w_dim: int, beta: float = 0.995) -> None:
        super().__init__()
        self.beta = beta
        self.register_buffer("w_avg", torch.zeros(w_dim))

    @torch.no_grad()
    def follow(self, w: Float[Tensor, "b w"]) -> None:
        """Move the mean towards that of a batch."""
        self.w_avg.lerp_(w.mean(dim=0), 1 - self.beta)


class Noise(nn.Module):
    """A noise map, and how strong it is in each channel."""

    noise: Tensor

    def __init__(self, channels: int, resolution: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.register_buffer("noise", torch.randn(1, 1, resolution, resolution))

    def map(self, mode: str | Tensor, batch: int) -> Tensor | None:
        """The map of a mode, or the one that is given."""
        if isinstance(mode, Tensor):
            return mode
        if mode == "random":
            size = (batch, *self.noise.shape[1:])
            return torch.randn(size, device=self.noise.device, dtype=self.noise.dtype)
        return self.noise if mode == "const" else None


class StyleModulation(nn.Module):
    """A code of w → scale and shift of each channel."""

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__()
        self.dense = Dense(w_dim, 2 * channels, 1.0)


def instance_norm(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Each channel of each image with mean zero and a standard deviation of one."""
    if x.dtype == torch.bfloat16:  # three times as fast, with statistics in single precision
        return channels_last(F.instance_norm(x, eps=1e-8))
    apart = x - x.mean(dim=(2, 3), keepdim=True)  # first, as a channel may be nearly the same everywhere
    length = torch.linalg.vector_norm(apart, dim=(2, 3), keepdim=True)
    return apart * (length.square() / x[0, 0].numel() + 1e-8).rsqrt()


class Epilogue(nn.Module):
    """Noise, bias, leaky ReLU, instance norm, style."""

    def __init__(self, channels: int, w_dim: int, resolution: int) -> None:
        super().__init__()
        self.apply_noise = Noise(channels, resolution)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.style_mod = StyleModulation(w_dim, channels)

    def forward(
        self, x: Float[Tensor, "b c h w"], style: Float[Tensor, "b s"], noise: Tensor | None
    ) -> Float[Tensor, "b c h w"]:
        # All in the type of x: under autocast, maps stay as small as convolutions make them.
        strength, bias = (one.to(x.dtype)[:, None, None] for one in (self.apply_noise.weight, self.bias))
        x = x + bias if noise is None else torch.addcmul(x + bias, noise.to(x.dtype), strength)
        scale, shift = style.to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, instance_norm(F.leaky_relu(x, SLOPE)), scale + 1)


class Blur(nn.Module):
    """Smoothing of each channel by [1, 2, 1] in both directions, over zeros at the border."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor(BLUR) / sum(BLUR)
        self.register_buffer("kernel", torch.outer(taps, taps).expand(channels, 1, -1, -1).clone())

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return Smooth.apply(x, self.kernel[0, 0], 1)


class Layer(nn.Module):
    """A convolution and its epilogue; the first layer has a constant in the place of a convolution.

    Arguments:
        up: Whether it doubles the size, with a blur behind.
        fused: Whether up-sampling and convolution are one transposed 4×4 convolution.
    """

    def __init__(self, inputs: int, outputs: int, w_dim: int, resolution: int, up: bool, fused: bool) -> None:
        super().__init__()
        self.up, self.fused, self.scale = up, fused, SQRT2 / math.sqrt(9 * max(1, inputs))
        if not inputs:
            self.first_layer = nn.Parameter(torch.ones(1, outputs, resolution, resolution))
        elif fused:
            self.weight = nn.Parameter(torch.randn(3, 3, inputs, outputs))
        else:
            self.conv = Weight(outputs, inputs, 3, 3)
        if up:
            self.blur = Blur(outputs)
        self.epilogue = Epilogue(outputs, w_dim, resolution)

    def forward(
        self, x: Float[Tensor, "b i h w"] | None, style: Float[Tensor, "b s"], noise: Tensor | None
    ) -> Float[Tensor, "b o h2 w2"]:
        x = self.first_layer.expand(len(style), -1, -1, -1) if x is None else self._convolve(x)
        return self.epilogue(self.blur(x) if self.up else x, style, noise)

    def _convolve(self, x: Tensor) -> Tensor:
        if self.fused:
            return F.conv_transpose2d(x, folded(self, "kernel", self._fuse, self.weight), stride=2, padding=1)
        weight = folded(self, "weight", lambda weight: weight * self.scale, self.conv.weight)
        x = F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else x
        return F.conv2d(x, weight, padding=1)

    def _fuse(self, weight: Tensor) -> Tensor:
        """[3, 3, inputs, outputs] → the sum of its four shifts by one pixel, [inputs, outputs, 4, 4]."""
        wide = F.pad((weight * self.scale).permute(2, 3, 0, 1), (1, 1, 1, 1))
        return wide[..., 1:, 1:] + wide[..., :-1, 1:] + wide[..., 1:, :-1] + wide[..., :-1, :-1]


class Colours(nn.Module):
    """A 1×1 convolution to colours."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.conv = Weight(channels, inputs, 1, 1)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b c h w"]:
        return F.conv2d(x, self.conv.weight * self.scale, self.bias)


class SynthesisNetwork(nn.Module):
    """Styles → image.

    Arguments:
        widths: Feature channels of each resolution, from 4 up to that of the image.
        fused: The resolutions whose up-sampling is fused with the convolution.
    """

    def __init__(self, widths: Mapping[int, int], w_dim: int, channels: int, fused: Collection[int]) -> None:
        super().__init__()
        self.style_sizes: dict[str, int] = {}
        inputs = 0
        for resolution, outputs in widths.items():
            for second in (False, True):
                name, up = f"layer{len(self.style_sizes)}", inputs > 0 and not second
                self.add_module(name, Layer(inputs, outputs, w_dim, resolution, up, up and resolution in fused))
                self.style_sizes[name], inputs = 2 * outputs, outputs
        self.style_rows = {name: row for row, name in enumerate(self.style_sizes)}
        self.output = f"output{len(widths) - 1}"
        self.add_module(self.output, Colours(inputs, channels))

    def forward(self, styles: Mapping[str, Tensor], noise: str | Mapping[str, Tensor]) -> Float[Tensor, "b c h w"]:
        x = None
        for name, style in styles.items():
            layer = self.get_submodule(name)
            mode = noise if isinstance(noise, str) else noise[name]
            x = layer(x, style, layer.epilogue.apply_noise.map(mode, len(style)))
        return self.get_submodule(self.output)(x)
