"""BigGAN-deep in plain torch, equal to ajbrock's network and to HuggingFace's, and ready for the weights of both."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.checkpoints.biggan import Sizes, card_settings, plain_names, read_sizes
from zstar.checkpoints.biggan_hub import HubSizes, is_hub, read_hub
from zstar.checkpoints.families import load_family
from zstar.checkpoints.networks import filled
from zstar.config.constraints import POSITIVE, FilePath, Within, require
from zstar.generators.biggan_deep_networks import SHRINK, Network
from zstar.generators.biggan_hub_networks import COLOURS, HubNetwork, Synthesis
from zstar.generators.biggan_networks import fresh_maps
from zstar.generators.class_conditional import AbstractClassConditional, Label

USUAL = {"bn_eps": 1e-5, "sn_eps": 1e-6, "depth": 2, "eps": 1e-4}


class BigGANDeep(AbstractClassConditional):
    """BigGAN-deep (Brock et al. 2019, https://arxiv.org/abs/1809.11096) in either of two layouts, which the file tells:
    ajbrock/BigGAN-PyTorch's, or that of huggingface/pytorch-pretrained-BigGAN, the published models of TF-Hub.

    Spaces: ``z`` [z_dim], with a class beside it, and ``z_class`` [z_dim + shared_dim], z and the vector of a class
    (``space=embedding`` frees that vector alone). All of z goes to the first layer and to every batch norm.

    HuggingFace's file needs its ``config.json`` beside it. Of its models, z is a normal cut at ±2 times a truncation,
    and batch norm has statistics for each truncation: ``truncation`` says both. That of a draw multiplies z besides, as
    published, and leaves the statistics as they are. In ajbrock's layout z is normal and truncation a smaller z.

    Arguments:
        resolution: Height and width of the image, a power of two from 8 on.
        channels: Colours, 3 or 1.
        width: Channels of the map of 128 pixels; one of half as many has twice as many, up to 16 times.
        z_dim: Length of z.
        classes: Number of classes.
        shared_dim: Length of a class's vector.
        attention: Heights of the maps with attention behind them.
        depth: Blocks at each resolution, of which the last doubles it; of ajbrock's layout also with a checkpoint.
        hierarchical: Whether z goes to the batch norms too.
        label: Which class it draws; ``all`` for one after the other, with ``z_class`` as the only space; ``own`` for a
            class of each image, from ``data.classes`` or, in z, found with the latent.
        truncation: Of HuggingFace's layout, above 0 and up to 1; of no effect in the other one.
        bn_eps, sn_eps: What batch norm and spectral norm add or divide by at least, in ajbrock's layout; a card may say
            others.
        checkpoint: A file of weights; all sizes then come from it, and the arguments for them are ignored.
        checkpoint_key: Which of several state dicts in the file, or how the names in one begin; None finds the usual.

    Raises:
        ValueError: A size or the checkpoint can't be used, its configuration is missing or is that of another file, or
            there is no such class.
    """

    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        width: int = 16,
        z_dim: int = 64,
        classes: int = 8,
        shared_dim: int = 32,
        attention: Sequence[int] = (32,),
        depth: int = 2,
        hierarchical: bool = True,
        label: Label = "own",
        truncation: float = 1.0,
        bn_eps: float = 1e-5,
        sn_eps: float = 1e-6,
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        super().__init__()
        require("generator", POSITIVE, bn_eps=bn_eps, sn_eps=sn_eps)
        require("generator", Within(1), depth=depth)
        require("generator", Within(0, 1, above=True), truncation=truncation)
        weights: dict[str, Tensor] | None = None
        settings: dict[str, Any] = {"bn_eps": bn_eps, "sn_eps": sn_eps, "depth": depth}
        if checkpoint is not None:
            path = io.resolve(checkpoint)
            weights = plain_names(load_family(path, checkpoint_key, "biggan_deep"))
            if is_hub(weights):
                hub, settings = read_hub(weights, path)
                self.cut = True
                self.network = filled(partial(HubNetwork, hub, settings["eps"], truncation), weights, path)
                self._keep(hub, hub.class_dim, COLOURS)
            else:
                settings = card_settings(path, settings)
                sizes = read_sizes(weights, settings["depth"], path)
                self.require_colours("generator.checkpoint", sizes.channels)
                self.network = filled(partial(Network, sizes, settings["bn_eps"], settings["sn_eps"]), weights, path)
                self._keep(sizes, sizes.shared_dim, sizes.channels)
        else:
            require("generator", Within(1), z_dim=z_dim, classes=classes, shared_dim=shared_dim, width=width)
            maps = fresh_maps(resolution, channels, width, attention)
            blocks = fresh_blocks(list(maps.values()), width, depth)
            places = tuple(list(maps).index(size) * depth - 1 for size in attention)
            sizes = Sizes(blocks, places, 4, channels, z_dim, shared_dim, classes, hierarchical)
            self.network = Network(sizes, bn_eps, sn_eps).to(memory_format=torch.channels_last)
            self._keep(sizes, shared_dim, channels)
        self.settings, self.trained = settings, weights is not None
        self.batch_statistics = not self.cut  # those of HuggingFace's layout stay as they are
        traits = {name: value for name, value in settings.items() if value != USUAL.get(name)}
        if self.cut:
            self.prior, self.prior_scale = "truncated", truncation
            traits |= {} if truncation == 1 else {"truncation": truncation}
        self.traits = {**self.condition_on(label), **traits}
        self.freeze()

    def _keep(self, sizes: Sizes | HubSizes, class_dim: int, channels: int) -> None:
        """The sizes, and the names of the feature maps and of the outputs of convolutions."""
        self.resolution, self.channels = sizes.resolution, channels
        self.z_dim, self.class_dim, self.c_dim = sizes.z_dim, class_dim, sizes.classes
        hub = isinstance(self.network, HubNetwork)
        prefix, inner, names = (
            ("generator.layers", "", Synthesis.names[1]) if hub else ("blocks", ".0", Network.names[1])
        )
        self.blocks = list(self.network.get_submodule(prefix).children())
        self.layers = tuple(f"{prefix}.{i}" for i in range(len(self.blocks)))
        every = (f"{layer}{inner}.{name}" for layer in self.layers for name in names)
        known = {name for name, _ in self.network.named_modules()}
        self.convolutions = tuple(name for name in every if name in known)

    def embed(self, classes: Float[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        return self.network.embed(classes)

    def draw(self, z: Float[Tensor, "b z"], y: Float[Tensor, "b d"]) -> Float[Tensor, "b c h w"]:
        return self.network(z, y)

    def layer(self, name: str) -> nn.Module:
        if name not in (*self.layers, *self.convolutions):
            raise ValueError(f"layer: BigGAN-deep has no layer '{name}'; choose one of {', '.join(self.layers)}")
        return self.network.get_submodule(name)


def fresh_blocks(maps: Sequence[int], width: int, depth: int) -> tuple[tuple[int, int, bool], ...]:
    """The blocks of a fresh network, from the channels of its maps: at each size all but the last keep them."""
    if min(maps) < SHRINK:
        raise ValueError(f"generator.width: {width} leaves a block less than {SHRINK} channels; raise it")
    blocks: list[tuple[int, int, bool]] = []
    for inputs, outputs in pairwise(maps):
        blocks += [(inputs, inputs, False)] * (depth - 1) + [(inputs, outputs, True)]
    return tuple(blocks)
