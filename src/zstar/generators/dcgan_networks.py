"""The layers of a DCGAN, under the names of PyTorch's examples."""

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

DEVIATION = 0.02  # of the initial kernels, as published


class ResizeConv2d(nn.Conv2d):
    """A 3×3 convolution of the image at twice its size, up-sampled to the nearest pixel."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, input: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        return super().forward(F.interpolate(input, scale_factor=2.0, mode="nearest"))


def stack(
    widths: Sequence[int], first: int, transposed: bool, biases: Sequence[bool], normalization: str
) -> nn.Sequential:
    """z as one pixel → the image: kernel i is layer 3i, its normalisation 3i + 1, its ReLU 3i + 2; tanh is the last.

    Arguments:
        widths: Channels from z to the colours.
        first: Size of the first kernel, which makes as many pixels of the one.
        transposed: Whether kernels are transposed, or convolutions at twice the size.
        biases: Which kernels have one.
        normalization: ``batch``, ``instance`` or ``none``.
    """
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        if transposed:
            place = {"stride": 2, "padding": 1} if i else {}
            kernel = nn.ConvTranspose2d(inputs, outputs, 4 if i else first, bias=biases[i], **place)
        elif i:
            kernel = ResizeConv2d(inputs, outputs, biases[i])
        else:
            kernel = nn.Conv2d(inputs, outputs, first, padding=first - 1, bias=biases[i])
        nn.init.normal_(kernel.weight, 0.0, DEVIATION)
        layers.append(kernel)
        if i < len(widths) - 2:
            layers += [_norm(outputs, normalization), nn.ReLU()]
    return nn.Sequential(*layers, nn.Tanh())


def _norm(channels: int, normalization: str) -> nn.Module:
    if normalization != "batch":
        return nn.InstanceNorm2d(channels) if normalization == "instance" else nn.Identity()
    norm = nn.BatchNorm2d(channels)
    nn.init.normal_(norm.weight, 1.0, DEVIATION)
    return norm
