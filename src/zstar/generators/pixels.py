"""The identity as the generator."""

from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import Within, require
from zstar.generators.base import Noise
from zstar.generators.one_space import AbstractOneSpace
from zstar.generators.sizes import require_new_colours


class Pixels(AbstractOneSpace):
    """G(v) = v: the latent is the image, in the one space ``pixels``, ``[channels, resolution, resolution]``.

    Choose it to optimise an image directly, as in style transfer and gradient-domain editing. Its prior is uniform
    noise on [−1, 1].

    Arguments:
        resolution: Height and width of the images.
        channels: Colours, 3 or 1.
    """

    prior = "uniform"
    linear = True

    def __init__(self, resolution: int = 64, channels: int = 3) -> None:
        super().__init__()
        require("generator", Within(1), resolution=resolution)
        require_new_colours(channels)
        self.resolution, self.channels = resolution, channels
        self.spaces = {"pixels": (channels, resolution, resolution)}
        self.noise_shapes, self.layers = {}, ()
        self.traits = {"shape": [channels, resolution, resolution]}
        self.freeze()

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """The latent; there is no noise to choose."""
        return latent

    def layer(self, name: str) -> nn.Module:
        """Always an error: there is nothing between latent and image."""
        raise ValueError(f"layer: there is no '{name}'; the generator 'pixels' has no layers")
