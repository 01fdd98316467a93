"""BigGAN-deep in ajbrock's layout, under its official names, and the block that all its layouts are made of."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.checkpoints.biggan import Sizes
from zstar.generators.biggan_layers import SpectralLayer
from zstar.generators.biggan_networks import first_map, make_embedding, make_norm, make_output, make_stages

SHRINK = 4  # of the channels within a block
KERNELS = (1, 3, 3, 1)


class Bottleneck(nn.Module):
    """A residual block of four convolutions on a quarter of the channels, which may double the size.

    The way around it drops the channels that are too many.

    Arguments:
        inputs, outputs: Channels; no more go out than come in.
        up: Whether it doubles the size.
        norm: Makes a batch norm of some channels.
        layer: Makes a convolution of inputs, outputs and the kernel's size.
        names: Of the four batch norms, and of the four convolutions.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        up: bool,
        norm: Callable[[int], nn.Module],
        layer: Callable[[int, int, int], nn.Module],
        names: tuple[Sequence[str], Sequence[str]],
    ) -> None:
        super().__init__()
        self.outputs, self.up, self.names = outputs, up, names
        sizes = [inputs, *[inputs // SHRINK] * 3, outputs]
        for place, (bn, conv) in enumerate(zip(*names, strict=True)):
            self.add_module(bn, norm(sizes[place]))
            self.add_module(conv, layer(sizes[place], sizes[place + 1], KERNELS[place]))

    def forward(self, x: Float[Tensor, "b i h w"], y: Float[Tensor, "b k"]) -> Float[Tensor, "b o h2 w2"]:
        h, shortcut = x, x[:, : self.outputs]
        for place, (bn, conv) in enumerate(zip(*self.names, strict=True)):
            h = self.get_submodule(bn)(h, y).relu()
            if self.up and place == 1:
                h, shortcut = F.interpolate(h, scale_factor=2), F.interpolate(shortcut, scale_factor=2)
            h = self.get_submodule(conv)(h)
        return h + shortcut


class Network(nn.Module):
    """BigGAN-deep in ajbrock's layout: z and the vector of a class, which comes first, → image.

    Arguments:
        sizes: Its sizes.
        bn_eps, sn_eps: Of batch norm and of spectral norm.
    """

    names = tuple(f"bn{i}" for i in range(1, 5)), tuple(f"conv{i}" for i in range(1, 5))

    def __init__(self, sizes: Sizes, bn_eps: float, sn_eps: float) -> None:
        super().__init__()
        self.bottom, self.hierarchical = sizes.bottom, sizes.hierarchical
        whole, layer = sizes.z_dim + sizes.shared_dim, partial(SpectralLayer, eps=sn_eps)
        norm = make_norm(whole if sizes.hierarchical else sizes.shared_dim, bn_eps, sn_eps)
        first = whole if sizes.hierarchical else sizes.z_dim
        self.shared = make_embedding(sizes)
        self.linear = layer(first, sizes.blocks[0][0] * sizes.bottom**2)
        self.blocks = make_stages(sizes, partial(Bottleneck, norm=norm, layer=layer, names=self.names), sn_eps)
        self.output_layer = make_output(sizes, sn_eps)

    def embed(self, classes: Float[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        """The vectors of classes, by their shares."""
        return classes @ self.shared.weight

    def forward(self, z: Float[Tensor, "b z"], y: Float[Tensor, "b d"]) -> Float[Tensor, "b c h w"]:
        whole = torch.cat([y, z], dim=1)
        first, condition = (whole, whole) if self.hierarchical else (z, y)
        x = first_map(self.linear(first), self.bottom)
        for stage in self.blocks:
            x = stage(x, condition)
        return self.output_layer(x).tanh()
