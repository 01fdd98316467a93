"""An untrained network as the generator."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import Within, require
from zstar.generators.base import Noise
from zstar.generators.one_space import AbstractOneSpace
from zstar.generators.sizes import require_new_colours
from zstar.generators.skip_network import SkipNetwork
from zstar.stats.streams import stream


class DeepImagePrior(AbstractOneSpace):
    """A skip network with random weights, which has seen no picture (Ulyanov et al. 2018,
    https://arxiv.org/abs/1711.10925).

    All that it knows of pictures is its structure: fitted to a damaged one by its weights, it finds what pictures are
    made of before it finds noise. The choice where no generator has learned what is to be restored, at any size; with
    projectors that free the weights (``projector=[untrained]``, or ``method=deep_image_prior``), as latents alone come
    to nothing.

    The one space, ``z`` [inputs, resolution, resolution], is that of its input noise, uniform on [−1, 1], and the
    first draw is where all images begin. Of a latent only the direction counts, as the first layers are normalised.
    So the published range, [0, 0.1], would draw the same pictures. What the paper's batch normalisation, which sees
    one image, is there, is said here: each map is normalised within its image, always. Therefore a batch is its
    images, each with its own weights.

    Feature layers: ``b8``, ``b16``, … on the way up, by their height.

    Arguments:
        resolution: Height and width of the images.
        channels: Colours, 3 or 1.
        inputs: Maps of the input noise; 32 as published restore no better.
        width: Maps of each level; 128 as published, for larger pictures.
        skip: Maps of each skip connection.
        scales: How often the size is halved, 5 as published; 2 pixels have to be left.
        seed: Other seeds, other initial weights.
    """

    prior = "uniform"
    normalizes = True
    learned = False
    batched_weights = True

    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        inputs: int = 8,
        width: int = 32,
        skip: int = 4,
        scales: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require("generator", Within(4), resolution=resolution)
        require("generator", Within(1), inputs=inputs, width=width, skip=skip)
        deepest = (resolution - 1).bit_length() - 1  # which leaves 2 pixels
        require("generator", Within(1, deepest), scales=scales)
        require_new_colours(channels)
        rng = stream("initial weights of a deep image prior", seed)
        self.network = SkipNetwork(inputs, width, skip, channels, scales, rng)
        self.resolution, self.channels = resolution, channels
        self.spaces = {"z": (inputs, resolution, resolution)}
        self.noise_shapes = {}
        self.traits = {"resolution": resolution}
        heights = [-(-resolution // 2**halvings) for halvings in reversed(range(scales))]
        self.layers = tuple(f"b{height}" for height in heights)
        self.blocks = [*self.network.downs, *self.network.ups]
        self.freeze()

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images within [−1, 1]; there is no other noise to choose than the latent."""
        return torch.tanh(self.network(latent) / 2)  # the published sigmoid, in another range

    def layer(self, name: str) -> nn.Module:
        if name not in self.layers:
            raise ValueError(f"layer: DeepImagePrior has no layer '{name}'; choose one of {', '.join(self.layers)}")
        return self.network.ups[self.layers.index(name)]
