"""The synthesis network of StyleGAN3 under its official names (Karras et al. 2021, https://arxiv.org/abs/2106.12423)."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.checkpoints.stylegan3 import TAPS, LayerShape
from zstar.generators.folding import folded
from zstar.generators.stylegan2_functions import SLOPE
from zstar.generators.stylegan2_layers import SQRT2, EqualLinear
from zstar.generators.stylegan3_filters import downsample, low_pass, upsample

FIRST_CUTOFF, FIRST_STOP, LAST_STOP = 2.0, 2**2.1, 2**0.3  # frequencies; the last is over the picture's highest
MARGIN = 10  # pixels around the maps, that their border does not show
CLAMP = 256.0  # of activations
OUTPUT_SCALE = 0.25


def schedule(
    resolution: int, channels: int, depth: int, critical: int, base: int, most: int, radial: bool
) -> tuple[list[LayerShape], int]:
    """The layers of a new network, and the sampling rate of its input, by the rules of the paper's appendix.

    Cutoffs and stop bands rise geometrically from the first layer to the critical ones.

    Arguments:
        depth: Layers, without the one that makes colours.
        critical: Layers at the end whose maps hold no frequency that the picture can't.
        base, most: A layer of cutoff f has ``min(base / 2f, most)`` channels.
        radial: Whether the network is equivariant to rotation: 1×1 kernels, and radially symmetric filters.
    """
    last = resolution / 2
    steps = [min(i / (depth - critical), 1.0) for i in range(depth + 1)]
    cutoffs = [FIRST_CUTOFF * (last / FIRST_CUTOFF) ** step for step in steps]
    stops = [FIRST_STOP * (last * LAST_STOP / FIRST_STOP) ** step for step in steps]
    rates = [2 ** math.ceil(math.log2(min(2 * stop, resolution))) for stop in stops]
    widths = [2 * (max(stop, rate / 2) - cutoff) for stop, rate, cutoff in zip(stops, rates, cutoffs, strict=True)]
    sizes = [rate + 2 * MARGIN for rate in rates[:-2]] + [resolution] * 2
    outputs = [round(min(base / 2 / cutoff, most)) for cutoff in cutoffs[:-1]] + [channels]
    layers = []
    for i in range(depth + 1):
        before, up_filter, down_filter = max(0, i - 1), None, None
        if i < depth:
            inner = 2 * max(rates[before], rates[i])  # where the leaky ReLU is, whose new frequencies are cut after it
            up, down = inner // rates[before], inner // rates[i]
            up_filter = low_pass(TAPS * up, cutoffs[before], widths[before], inner)
            round_ = radial and i < depth - critical
            down_filter = low_pass(TAPS * down, cutoffs[i], widths[i], inner, round_)
        kernel = 1 if radial or i == depth else 3
        layers.append(LayerShape(outputs[before], outputs[i], sizes[before], sizes[i], kernel, up_filter, down_filter))
    return layers, rates[0]


class SynthesisInput(nn.Module):
    """Fourier features, turned and moved as a code says, and mixed.

    Its style is [cos, sin, x, y]: a rotation, whose length does not count, then a translation in picture widths.
    """

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, w_dim: int, channels: int, size: int, sampling_rate: int) -> None:
        super().__init__()
        self.size, self.sampling_rate = size, sampling_rate
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = EqualLinear(w_dim, 4)
        with torch.no_grad():  # at first no code turns or moves anything
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        radius, angle = torch.rand(channels).sqrt() * FIRST_CUTOFF, torch.rand(channels) * 2 * math.pi
        self.register_buffer("freqs", torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1))
        self.register_buffer("phases", torch.rand(channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))

    def forward(self, style: Float[Tensor, "b 4"]) -> Float[Tensor, "b c h w"]:
        turn = style / style[:, :2].norm(dim=1, keepdim=True)
        cos, sin, x, y = turn.unbind(dim=1)
        rotation = torch.stack([torch.stack([cos, -sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1)
        # A point p of the picture shows the features at R(Ap + b − t), with the transform (A, b) and R, t of the code.
        linear = rotation @ self.transform[:2, :2]
        offset = (rotation @ (self.transform[:2, 2] - torch.stack([x, y], dim=1))[:, :, None])[:, :, 0]
        freqs, phases = self.freqs @ linear, self.phases + offset @ self.freqs.T
        ends = self.sampling_rate / 2 - FIRST_CUTOFF
        amplitudes = (1 - (freqs.norm(dim=2) - FIRST_CUTOFF) / ends).clamp(0, 1)  # what would alias fades out
        places = (torch.arange(self.size, device=style.device) + 0.5 - self.size / 2) / self.sampling_rate
        along_x, along_y = (freqs[:, None, None, :, i] * places[:, None] for i in (0, 1))  # [b, 1, size, c]
        waves = along_x + along_y.transpose(1, 2) + phases[:, None, None]
        waves = (2 * math.pi * waves).sin() * amplitudes[:, None, None]
        return (waves @ (self.weight.T / math.sqrt(len(self.weight)))).permute(0, 3, 1, 2)


class SynthesisLayer(nn.Module):
    """Modulated convolution, bias, and a leaky ReLU at a higher sampling rate; the last one makes colours."""

    magnitude_ema: Tensor
    up_filter: Tensor
    down_filter: Tensor

    def __init__(self, shape: LayerShape, w_dim: int, beta: float = 0.999) -> None:
        super().__init__()
        self.shape, self.beta, self.colours = shape, beta, shape.up_filter is None
        self.affine = EqualLinear(w_dim, shape.inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(shape.outputs, shape.inputs, shape.kernel, shape.kernel))
        self.bias = nn.Parameter(torch.zeros(shape.outputs))
        self.register_buffer("magnitude_ema", torch.ones(()))
        if not self.colours:
            self.register_buffer("up_filter", shape.up_filter.clone())
            self.register_buffer("down_filter", shape.down_filter.clone())

    def forward(self, x: Float[Tensor, "b i h w"], style: Float[Tensor, "b i"]) -> Float[Tensor, "b o h2 w2"]:
        if self.training:
            with torch.no_grad():
                self.magnitude_ema.lerp_(x.square().mean().to(self.magnitude_ema), 1 - self.beta)
        if self.colours:
            scale = style * (self.magnitude_ema.rsqrt() / math.sqrt(self.weight[0].numel()))
            y = F.conv2d(x * scale[:, :, None, None], self.weight, self.bias, padding=self.shape.kernel - 1)
            return y.clamp(-CLAMP, CLAMP)
        weight = folded(self, "weight", _normalised, self.weight)
        energy = folded(self, "energy", lambda raw: _normalised(raw).square().sum(dim=(2, 3)), self.weight)
        style = style * (style.square().mean(dim=1, keepdim=True) + 1e-12).rsqrt()
        demodulation = (style.square() @ energy.T + 1e-8).rsqrt()
        x = x * (style * self.magnitude_ema.rsqrt())[:, :, None, None]
        y = F.conv2d(x, weight, padding=self.shape.kernel - 1) * demodulation[:, :, None, None]
        return self._activate(y + self.bias[:, None, None])

    def _activate(self, x: Tensor) -> Tensor:
        """Leaky ReLU between the two resamplings, such that the middle of the map stays where it is."""
        (up, down), taps = self.shape.factors, (len(self.up_filter), len(self.down_filter))
        inner = (self.shape.out_size - 1) * down + taps[1]  # samples that the down-sampling needs
        padding = inner + taps[0] - 1 - x.shape[2] * up
        x = upsample(x, self.up_filter, up, (padding + up) // 2, inner)
        x = (F.leaky_relu(x, SLOPE) * SQRT2).clamp(-CLAMP, CLAMP)
        return downsample(x, self.down_filter, down)


def _normalised(weight: Float[Tensor, "o i k k"]) -> Float[Tensor, "o i k k"]:
    return weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()


class SynthesisNetwork(nn.Module):
    """Styles → image."""

    def __init__(self, layers: Sequence[LayerShape], w_dim: int, sampling_rate: int) -> None:
        super().__init__()
        self.input = SynthesisInput(w_dim, layers[0].inputs, layers[0].in_size, sampling_rate)
        self.style_sizes = {"input": 4}
        for i, shape in enumerate(layers):
            name = f"L{i}_{shape.out_size}_{shape.outputs}"
            self.add_module(name, SynthesisLayer(shape, w_dim))
            self.style_sizes[name] = shape.inputs
        self.style_rows = {name: row for row, name in enumerate(self.style_sizes)}

    def forward(self, styles: Mapping[str, Tensor]) -> Float[Tensor, "b c h w"]:
        first, *others = styles.items()
        x = self.input(first[1])
        for name, style in others:
            x = self.get_submodule(name)(x, style)
        return x * OUTPUT_SCALE
