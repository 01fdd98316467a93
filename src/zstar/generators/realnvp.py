"""RealNVP."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.checkpoints.families import load_family, whole
from zstar.checkpoints.image_size import image_size, require_halvings
from zstar.checkpoints.realnvp import realnvp_sizes
from zstar.config.constraints import FilePath, Within, require
from zstar.generators.base import Noise
from zstar.generators.invertible import LEVELS, Invertible
from zstar.generators.one_space import AbstractOneSpace
from zstar.generators.realnvp_networks import RealNVPNetwork


class RealNVP(AbstractOneSpace, Invertible):
    """RealNVP, a normalising flow (Dinh et al. 2017, https://arxiv.org/abs/1605.08803).

    As with Glow, each image has exactly one latent, which ``projector=[exact]`` finds, and a likelihood. Its couplings
    take turns with the fields of a chessboard, where Glow learns how to mix channels; it draws worse pictures.

    The one space, ``z`` [channels · resolution²], is standard normal: the published latents, which have the shape of
    the image, ``[channels, h, w]``, flat. In each 2×2 of them, those of the one diagonal go through the next scale, and
    so on; ``truncation`` scales them.

    Images are those whose logits the network makes, exactly undone: brought from the middle 90 % of [0, 1], where a
    training has put them, to the whole of it, so that they may go 5 % beyond it on either side. The published sampling
    leaves that out, so that its pictures are paler.

    Feature layers: ``scale1.in_couplings``, ``scale0.out_couplings``, ``scale0.in_couplings`` (the logits of the
    image), and more of them before with more scales; ``scale0.in_couplings.2``, … behind each coupling, which synthesis
    takes from the last one to 0.

    Arguments:
        resolution: Height and width of the images, a multiple of 2 to the power of ``num_scales``. No tensor tells it;
            None is what the card of the checkpoint says, else 32.
        channels: Colours, 3 or 1.
        num_scales: Resolutions.
        width: Channels within a coupling at the finest of them, twice as many at the next; 64 as published.
        num_blocks: Residual blocks of each coupling; 8 as published.
        checkpoint: A file in the layout of chrischute/real-nvp. All sizes but that of the images then come from it.
        checkpoint_key: Which of several state dicts in the file; None finds the usual one.

    Raises:
        ValueError: A size or the checkpoint can't be used.
    """

    def __init__(
        self,
        resolution: int | None = None,
        channels: int = 3,
        num_scales: int = 2,
        width: int = 16,
        num_blocks: int = 2,
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        super().__init__()
        path = None if checkpoint is None else io.resolve(checkpoint)
        weights = {} if path is None else load_family(path, checkpoint_key, "realnvp")
        if path is None:
            require("generator", Within(1), num_scales=num_scales, width=width)
            require("generator", Within(0), num_blocks=num_blocks)
            sizes = {"channels": channels, "width": width, "blocks": num_blocks, "scales": num_scales}
        else:
            with whole(path, "RealNVP"):
                sizes = realnvp_sizes(weights)
        self.channels, self.resolution = sizes["channels"], image_size(resolution, path, 32)
        self.require_colours("generator.channels" if path is None else "generator.checkpoint", self.channels)
        require_halvings(self.resolution, sizes["scales"])
        self.network = RealNVPNetwork(**sizes).to(memory_format=torch.channels_last)
        self.trained = path is not None
        if path is not None:
            io.load_into(self.network, weights, path)
        self.traits = {"resolution": self.resolution}
        self.spaces, self.noise_shapes = {"z": (self.channels * self.resolution**2,)}, {}
        deepest = sizes["scales"] - 1
        finer = [f"scale{i}.{part}" for i in reversed(range(deepest)) for part in ("out_couplings", "in_couplings")]
        self.layers = (f"scale{deepest}.in_couplings", *finer)
        self.blocks = [self._group(name) for name in self.layers]
        steps = zip(self.layers, self.blocks, strict=True)
        self.convolutions = tuple(f"{name}.{i}" for name, group in steps for i in reversed(range(len(group))))
        self.freeze()

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images; there is no noise to choose."""
        return self.network(latent.unflatten(1, (self.channels, self.resolution, self.resolution)))

    def invert(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z"]:
        self.require_size(image)
        return self.network.encode(image)[0].flatten(1)

    def log_likelihood(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """As in the paper, of images of 256 levels on [0, 1]; a training adds noise of the width of a level."""
        self.require_size(image)
        return self.network.encode(image)[1] - self.spaces["z"][0] * math.log(LEVELS)

    def layer(self, name: str) -> nn.Module:
        if name not in self.layers and name not in self.convolutions:
            choice = ", ".join((*self.layers, *self.convolutions))
            raise ValueError(f"layer: RealNVP has no layer '{name}'; choose one of {choice}")
        return self._group(name)

    def _group(self, name: str) -> nn.Module:
        scale, _, inner = name.partition(".")
        return self.network.scales[int(scale.removeprefix("scale"))].get_submodule(inner)
