"""BigGAN in plain torch, equal to ajbrock's network and ready for its weights."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.checkpoints.biggan import Sizes, card_settings, plain_names, read_sizes
from zstar.checkpoints.families import load_family
from zstar.checkpoints.networks import filled
from zstar.config.constraints import POSITIVE, FilePath, Within, require
from zstar.generators.biggan_networks import Network, fresh_maps
from zstar.generators.class_conditional import AbstractClassConditional, Label

USUAL = {"bn_eps": 1e-5, "sn_eps": 1e-6}


class BigGAN(AbstractClassConditional):
    """BigGAN (Brock et al. 2019, https://arxiv.org/abs/1809.11096) as in ajbrock/BigGAN-PyTorch.

    The choice for pictures of many classes, where the class is to be found or mixed too. Spaces: ``z`` [z_dim], normal,
    with a class beside it, and ``z_class`` [z_dim + shared_dim], z and the vector of a class (``space=embedding`` frees
    that vector alone). Truncation is nothing but a smaller z. Feature layers: ``blocks.0``, ``blocks.1``, …

    Arguments:
        resolution: Height and width of the image, a power of two from 8 on.
        channels: Colours, 3 or 1.
        width: Channels of the map of 128 pixels; one of half as many has twice as many, up to 16 times.
        z_dim: Length of z: with ``hierarchical``, a multiple of the number of blocks plus 1.
        classes: Number of classes.
        shared_dim: Length of a class's vector.
        attention: Heights of the maps with attention behind them.
        hierarchical: Whether each block gets a part of z besides the class.
        label: Which class it draws; ``all`` for one after the other, with ``z_class`` as the only space; ``own`` for a
            class of each image, from ``data.classes`` or, in z, found with the latent.
        bn_eps, sn_eps: What batch norm and spectral norm add or divide by at least; a card may say others.
        checkpoint: A file of weights; all sizes then come from it, and the arguments for them are ignored.
        checkpoint_key: Which of several state dicts in the file, or how the names in one begin; None finds the usual.

    Raises:
        ValueError: A size or the checkpoint can't be used, or there is no such class.
    """

    batch_statistics = True

    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        width: int = 16,
        z_dim: int = 80,
        classes: int = 8,
        shared_dim: int = 32,
        attention: Sequence[int] = (32,),
        hierarchical: bool = True,
        label: Label = "own",
        bn_eps: float = 1e-5,
        sn_eps: float = 1e-6,
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        super().__init__()
        require("generator", POSITIVE, bn_eps=bn_eps, sn_eps=sn_eps)
        weights: dict[str, Tensor] | None = None
        self.settings = {"bn_eps": bn_eps, "sn_eps": sn_eps}
        if checkpoint is not None:
            path = io.resolve(checkpoint)
            weights = plain_names(load_family(path, checkpoint_key, "biggan"))
            sizes = read_sizes(weights, None, path)
            self.settings = card_settings(path, self.settings)
            self.require_colours("generator.checkpoint", sizes.channels)
        else:
            require("generator", Within(1), z_dim=z_dim, classes=classes, shared_dim=shared_dim, width=width)
            maps = fresh_maps(resolution, channels, width, attention)
            blocks = tuple((a, b, True) for a, b in pairwise(maps.values()))
            places = tuple(list(maps).index(size) - 1 for size in attention)
            sizes = Sizes(blocks, places, 4, channels, z_dim, shared_dim, classes, hierarchical)
        parts = len(sizes.blocks) + 1 if sizes.hierarchical else 1
        if sizes.z_dim % parts:
            raise ValueError(f"generator.z_dim: {sizes.z_dim} has no {parts} equal parts; choose e.g. {16 * parts}")
        self.resolution, self.channels = sizes.resolution, sizes.channels
        self.z_dim, self.class_dim, self.c_dim = sizes.z_dim, sizes.shared_dim, sizes.classes
        make = partial(Network, sizes, **self.settings)
        self.trained = weights is not None
        if weights is None:
            self.network = make().to(memory_format=torch.channels_last)
        else:
            self.network = filled(make, weights, checkpoint)
        traits = {name: value for name, value in self.settings.items() if value != USUAL[name]}
        self.traits = {**self.condition_on(label), **traits}
        self.blocks = list(self.network.blocks)
        self.layers = tuple(f"blocks.{i}" for i in range(len(self.blocks)))
        self.convolutions = tuple(f"{name}.0.{conv}" for name in self.layers for conv in ("conv1", "conv2"))
        self.freeze()

    def embed(self, classes: Float[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        return self.network.embed(classes)

    def draw(self, z: Float[Tensor, "b z"], y: Float[Tensor, "b d"]) -> Float[Tensor, "b c h w"]:
        return self.network(z, y)

    def layer(self, name: str) -> nn.Module:
        if name not in (*self.layers, *self.convolutions):
            raise ValueError(f"layer: BigGAN has no layer '{name}'; choose one of {', '.join(self.layers)}")
        return self.network.get_submodule(name)
