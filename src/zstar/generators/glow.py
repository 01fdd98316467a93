"""Glow."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.checkpoints.families import load_family, whole
from zstar.checkpoints.glow import glow_sizes
from zstar.checkpoints.image_size import image_size, require_halvings
from zstar.config.constraints import FilePath, Within, require
from zstar.generators.base import Noise
from zstar.generators.glow_networks import GlowNetwork
from zstar.generators.invertible import Invertible
from zstar.generators.one_space import AbstractOneSpace


class Glow(AbstractOneSpace, Invertible):
    """Glow, a normalising flow (Kingma and Dhariwal 2018, https://arxiv.org/abs/1807.03039).

    An image has as many latents as colour values and each image has exactly one: projection is the inverse itself
    (``projector=[exact]``), and the likelihood of an image is known. The choice for round trips without error; what
    edits do to the latents of photos is another question.

    The one space, ``z`` [channels · resolution²], is standard normal: the numbers that the published sampling draws,
    from which each block makes its latents with a mean and a deviation that it reads out of its other half. They lie
    side by side flat, block by block from the finest (``[channels·2, h/2, w/2]``) to the coarsest, which has twice as
    many channels as it would have otherwise. ``truncation`` is the paper's temperature, which scales them.

    Feature layers: ``b2``, ``b4``, … by their height, the maps of a block behind its last step; ``b4.flow1``, … behind
    the others, whose numbers fall on the way to it.

    Arguments:
        resolution: Height and width of the images, a multiple of 2 to the power of ``num_blocks``. No tensor tells it;
            None is what the card of the checkpoint says, else 32.
        channels: Colours, 3 or 1.
        num_blocks: Resolutions.
        num_flows: Steps at each of them.
        width: Channels within a coupling; 512 as published.
        affine: Whether couplings scale, or shift alone.
        lu: Whether 1×1 convolutions are kept as triangular matrices.
        bits: Of a colour value in its training, 5 for the published faces. Likelihoods are those of images of so many
            bits; pictures do not depend on it.
        checkpoint: A file in the layout of rosinality/glow-pytorch. All sizes but that of the images then come from it.
        checkpoint_key: Which of several state dicts in the file; None finds the usual one.

    Raises:
        ValueError: A size or the checkpoint can't be used.
    """

    def __init__(
        self,
        resolution: int | None = None,
        channels: int = 3,
        num_blocks: int = 3,
        num_flows: int = 8,
        width: int = 64,
        affine: bool = True,
        lu: bool = True,
        bits: int = 8,
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        super().__init__()
        path = None if checkpoint is None else io.resolve(checkpoint)
        require("generator", Within(1, 16), bits=bits)
        weights = {} if path is None else load_family(path, checkpoint_key, "glow")
        if path is None:
            require("generator", Within(1), num_blocks=num_blocks, num_flows=num_flows, width=width)
            sizes = {"steps": num_flows, "width": width, "affine": affine, "lu": [lu] * num_blocks}
        else:
            with whole(path, "Glow"):
                sizes = glow_sizes(weights)
            channels = sizes.pop("channels")
        self.require_colours("generator.channels" if path is None else "generator.checkpoint", channels)
        self.resolution, self.channels, self.bits = image_size(resolution, path, 32), channels, bits
        self.levels = 2**bits
        require_halvings(self.resolution, len(sizes["lu"]))
        self.network = GlowNetwork(channels, **sizes).to(memory_format=torch.channels_last)
        self.trained = path is not None
        if path is not None:
            io.load_into(self.network, weights, path)
        self.traits = {"resolution": self.resolution}
        self.shapes = self.network.shapes(channels, self.resolution)
        self.spaces, self.noise_shapes = {"z": (channels * self.resolution**2,)}, {}
        self.blocks = list(reversed(self.network.blocks))
        self.layers = tuple(f"b{side}" for _, _, side in reversed(self.shapes))
        inner = [f".flow{step}" for step in reversed(range(1, sizes["steps"]))]
        self.convolutions = tuple(f"{block}{step}" for block in self.layers for step in [*inner, ""])
        self.freeze()

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images; there is no noise to choose."""
        parts = latent.split([math.prod(shape) for shape in self.shapes], dim=1)
        return 2 * self.network([part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)])

    def invert(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z"]:
        self.require_size(image)
        return torch.cat([part.flatten(1) for part in self.network.encode(image / 2)[0]], dim=1)

    def log_likelihood(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """As in the paper, of images of 2^``bits`` levels on [0, 1]; a training adds noise of the width of a level."""
        self.require_size(image)
        return self.network.encode(image / 2)[1] - self.spaces["z"][0] * self.bits * math.log(2)

    def layer(self, name: str) -> nn.Module:
        block, _, step = name.partition(".flow")
        if name not in self.layers and name not in self.convolutions:
            raise ValueError(f"layer: Glow has no layer '{name}'; choose one of {', '.join(self.convolutions)}")
        return self.blocks[self.layers.index(block)].flows[int(step or 0)]
