"""PGGAN."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.checkpoints import pggan as files
from zstar.checkpoints.families import load_family, usable
from zstar.config.constraints import FilePath, Within, require
from zstar.generators.adversarial import AbstractAdversarial
from zstar.generators.base import Noise
from zstar.generators.pggan_networks import Block
from zstar.generators.sizes import doubling_widths, require_new


class PGGAN(AbstractAdversarial):
    """The progressive GAN (Karras et al. 2018, https://arxiv.org/abs/1710.10196), grown to its full size.

    The generator of GAN Dissection (https://arxiv.org/abs/1811.10597). Its one space is ``z``, [z_dim], of which the
    direction alone counts. Feature layers: ``layer1``, ``layer2`` (4×4), ``layer3``, ``layer4`` (8×8), …, as GAN
    Dissection counts them: outputs of the leaky ReLUs, before the next pixel norm.

    Arguments:
        resolution: Height and width of the image, a power of two from 8 on.
        channels: Colours, 3 or 1.
        z_dim: Length of z.
        channel_base, channel_max: Resolution r has ``min(channel_base // r, channel_max)`` feature channels.
        checkpoint: A file with a state dict in GAN Dissection's or genforce's layout. All sizes then come from it,
            and the arguments above are ignored.
        checkpoint_key: Which of several state dicts in the file, or how the names in one begin; None finds the usual.

    Raises:
        ValueError: A size or the checkpoint can't be used, or the checkpoint is of another family.
    """

    normalizes = True

    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        z_dim: int = 128,
        channel_base: int = 2048,
        channel_max: int = 128,
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        super().__init__()
        weights: dict[str, Tensor] | None = None
        if checkpoint is not None:
            path = io.resolve(checkpoint)
            weights = load_family(path, checkpoint_key, "pggan")
            with usable(path, "PGGAN"):
                z_dim, widths, channels = files.sizes(weights)
            self.require_colours("generator.checkpoint", channels)
        else:
            require_new(resolution, channels)
            require("generator", Within(1), z_dim=z_dim)
            widths = doubling_widths(resolution, channel_base, channel_max)
        self.resolution, self.channels, self.z_dim = max(widths), channels, z_dim
        inputs = [z_dim, *(width for width in widths.values() for _ in range(2))]
        self.layers = tuple(f"layer{i}" for i in range(1, len(inputs)))
        for i, (fewer, more) in enumerate(pairwise(inputs)):
            size, padding = (4, 3) if i == 0 else (3, 1)  # z is one pixel, of which the first layer makes 4×4
            self.add_module(self.layers[i], Block(fewer, more, size, padding, up=i > 0 and i % 2 == 0))
        self.output = f"output_{self.resolution}x{self.resolution}"
        self.add_module(self.output, Block(inputs[-1], channels, 1, 0, colours=True))
        self.to(memory_format=torch.channels_last)
        if weights is not None:
            io.load_into(self, weights, checkpoint)
        self.trained = weights is not None
        self.blocks = [self.get_submodule(name) for name in self.layers]
        self.spaces = {"z": (z_dim,)}
        self.noise_shapes = {}
        self.freeze()

    def sample(
        self, n: int, rng: torch.Generator, truncation: float = 1.0, space: str | None = None
    ) -> Float[Tensor, "n ..."]:
        """``n`` draws of a normal z, which no ``truncation`` changes, as their length does not count.

        Raises:
            ValueError: A truncation other than 1 is asked for.
        """
        shape = self.shape(space or "z")
        if truncation != 1:
            raise ValueError(
                f"truncation: {truncation} has no effect on a z whose length does not count; set it to 1.0"
            )
        return self.bring(torch.randn(n, *shape, generator=rng, device=rng.device))

    def lift(self, latent: Float[Tensor, "b ..."], source: str, target: str) -> Float[Tensor, "b ..."]:
        """The latent itself: there is no other space than z."""
        self.shape(source), self.shape(target)
        return latent

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images, nominally in [−1, 1] and not clamped; there is no noise to choose."""
        x = latent[:, :, None, None]
        for name in (*self.layers, self.output):
            x = self.get_submodule(name)(x)
        return x

    def layer(self, name: str) -> nn.Module:
        if name not in self.layers:
            raise ValueError(f"layer: PGGAN has no layer '{name}'; choose one of {', '.join(self.layers)}")
        return self.get_submodule(name)
