"""BigGAN-deep as converted from TF-Hub, in HuggingFace's layout, under its official names.

Batch norm has statistics for each of 51 truncations, and spectral norm is the older one of torch.
"""

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.checkpoints.biggan_hub import BOTTOM, HubSizes
from zstar.generators.biggan_deep_networks import Bottleneck
from zstar.generators.biggan_layers import SHARE, apply_weight, attend, initial_weight, normalise
from zstar.generators.folding import folded

COLOURS = 3


class SpectralPair(nn.Module):
    """A linear map or a convolution divided by its largest singular value, which the stored pair of vectors says: the
    older spectral norm of torch. Arguments as of :class:`zstar.generators.biggan_layers.SpectralLayer`."""

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int = 0, bias: bool = True, eps: float = 1e-4) -> None:
        super().__init__()
        self.eps = eps
        self.weight_orig = initial_weight(inputs, outputs, kernel)
        self.register_parameter("bias", nn.Parameter(torch.zeros(outputs)) if bias else None)
        self.register_buffer("weight_u", F.normalize(torch.randn(outputs), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(self.weight_orig[0].numel()), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self._iterate()
            weight = self._divide(self.weight_orig)
        else:
            weight = folded(self, "divided", self._divide, self.weight_orig, buffers=(self.weight_u, self.weight_v))
        return apply_weight(x, weight, self.bias)

    def _divide(self, weight: Tensor) -> Tensor:
        # Copies, as the next step of the power method is taken in place.
        left, right = (
            (self.weight_u.clone(), self.weight_v.clone()) if self.training else (self.weight_u, self.weight_v)
        )
        return weight / (left @ (weight.reshape(len(weight), -1) @ right))

    @torch.no_grad()
    def _iterate(self) -> None:
        matrix = self.weight_orig.reshape(len(self.weight_orig), -1)
        self.weight_v.copy_(F.normalize(matrix.t() @ self.weight_u, dim=0, eps=self.eps))
        self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0, eps=self.eps))


def mix_rows(table: Float[Tensor, "n c"], truncation: float) -> Float[Tensor, " c"]:
    """The statistics of a truncation, from rows of 0, 1/(n − 1), …, 1.

    Between two rows the published program mixes them the wrong way round, and takes the place from a quotient that is
    rounded, so that 0.14 is row 8 of 51; the models have always been run like that.
    """
    share, row = math.modf(truncation / (1.0 / (len(table) - 1)))
    low = table[int(row)]
    return low if share == 0 else low * share + table[int(row) + 1] * (1 - share)


class TabledNorm(nn.Module):
    """Batch norm with the statistics of a truncation, and gain and bias by linear maps of the condition, or fixed ones.

    Arguments:
        width: Channels.
        inputs: Length of the condition; 0 for a gain and bias that are the same for all images.
        rows: Rows of the tables of statistics.
        eps: Added to variances.
        truncation: What the statistics are of.
    """

    running_means: Tensor
    running_vars: Tensor

    def __init__(self, width: int, inputs: int, rows: int, eps: float, truncation: float) -> None:
        super().__init__()
        self.eps, self.truncation, self.conditional = eps, truncation, inputs > 0
        if inputs:
            self.scale = SpectralPair(inputs, width, bias=False, eps=eps)
            self.offset = SpectralPair(inputs, width, bias=False, eps=eps)
        else:
            self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_means", torch.zeros(rows, width))
        self.register_buffer("running_vars", torch.ones(rows, width))

    def forward(self, x: Float[Tensor, "b c h w"], y: Float[Tensor, "b k"]) -> Float[Tensor, "b c h w"]:
        tables = (self.running_means, self.running_vars)
        mean, variance = folded(self, "statistics", self._statistics, buffers=tables)
        both = (1 + self.scale(y), self.offset(y)) if self.conditional else (self.weight[None], self.bias[None])
        return normalise(x, mean, variance, self.eps, *both)

    def _statistics(self) -> Float[Tensor, "2 c"]:
        return torch.stack([mix_rows(table, self.truncation) for table in (self.running_means, self.running_vars)])


class PairedAttention(nn.Module):
    """Self-attention under HuggingFace's names."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        layer = partial(SpectralPair, kernel=1, bias=False, eps=eps)
        self.snconv1x1_theta, self.snconv1x1_phi = layer(width, width // SHARE), layer(width, width // SHARE)
        self.snconv1x1_g, self.snconv1x1_o_conv = layer(width, width // 2), layer(width // 2, width)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Float[Tensor, "b c h w"], y: Tensor | None = None) -> Float[Tensor, "b c h w"]:
        seen = attend(self.snconv1x1_theta(x), self.snconv1x1_phi(x), self.snconv1x1_g(x))
        return x + self.gamma * self.snconv1x1_o_conv(seen)


class Synthesis(nn.Module):
    """The condition, z and the vector of a class behind it → image."""

    names = tuple(f"bn_{i}" for i in range(4)), tuple(f"conv_{i}" for i in range(4))

    def __init__(self, sizes: HubSizes, eps: float, truncation: float) -> None:
        super().__init__()
        inputs = sizes.z_dim + sizes.class_dim
        norm = partial(TabledNorm, inputs=inputs, rows=sizes.rows, eps=eps, truncation=truncation)
        layer = partial(SpectralPair, eps=eps)
        self.gen_z = layer(inputs, sizes.blocks[0][0] * BOTTOM**2)
        parts: list[nn.Module] = [Bottleneck(*each, norm=norm, layer=layer, names=self.names) for each in sizes.blocks]
        for place in sizes.attention:
            parts.insert(place, PairedAttention(sizes.made(place), eps))
        self.layers = nn.ModuleList(parts)
        width = sizes.blocks[-1][1]
        self.bn = TabledNorm(width, 0, sizes.rows, eps, truncation)
        self.conv_to_rgb = layer(width, width, 3)

    def forward(self, condition: Float[Tensor, "b k"]) -> Float[Tensor, "b 3 h w"]:
        x = self.gen_z(condition).unflatten(1, (BOTTOM, BOTTOM, -1)).permute(0, 3, 1, 2)  # as TensorFlow has maps
        for part in self.layers:
            x = part(x, condition)
        return self.conv_to_rgb(self.bn(x, condition).relu())[:, :COLOURS].tanh()


class HubNetwork(nn.Module):
    """z and the vector of a class → image.

    Arguments:
        sizes: Its sizes.
        eps: Of batch norm and of spectral norm.
        truncation: What the statistics of batch norm are of.
    """

    def __init__(self, sizes: HubSizes, eps: float, truncation: float) -> None:
        super().__init__()
        self.embeddings = nn.Linear(sizes.classes, sizes.class_dim, bias=False)
        self.generator = Synthesis(sizes, eps, truncation)

    def embed(self, classes: Float[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        """The vectors of classes, by their shares."""
        return self.embeddings(classes)

    def forward(self, z: Float[Tensor, "b z"], y: Float[Tensor, "b d"]) -> Float[Tensor, "b 3 h w"]:
        return self.generator(torch.cat([z, y], dim=1))
