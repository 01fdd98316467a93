"""StyleGAN3."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.checkpoints import stylegan3 as files
from zstar.checkpoints.families import load_family, usable
from zstar.config.constraints import FilePath, Within, require
from zstar.generators.base import Noise
from zstar.generators.sizes import require_new
from zstar.generators.style_based import AbstractStyleBased
from zstar.generators.stylegan2_networks import MappingNetwork
from zstar.generators.stylegan3_networks import SynthesisNetwork, schedule


class StyleGAN3(AbstractStyleBased):
    """StyleGAN3 (Karras et al. 2021, https://arxiv.org/abs/2106.12423): details move with what they belong to.

    Choose it for pictures that are to be turned or moved, and for video. Spaces, each lifted to the next: ``z``
    [z_dim], normal; ``w`` [w_dim]; ``w_plus`` [num_ws, w_dim], whose first row turns and moves the picture, and each
    other row is for a layer; ``style`` [sum of ``style_sizes``], of which the first four numbers are cosine and sine of
    the angle, of any length, and a translation in picture widths. There is no noise. Feature layers: ``input``, and
    ``L0_36_512``, … with their size, margins of 10 pixels included, and their channels.

    Arguments:
        resolution: Height and width of the image, a power of two from 16 on.
        channels: Colours, 3 or 1.
        z_dim, w_dim: Lengths of z and w.
        num_mapping_layers: Layers of the mapping network.
        num_layers: Layers of the synthesis network; published ones have 14.
        num_critical: Layers at its end that are sampled critically.
        channel_base, channel_max: A layer of cutoff f has ``min(channel_base / 2f, channel_max)`` feature channels.
        equivariance: ``translation`` (T), or ``rotation`` as well (R), which was published with twice the channels.
        rotation: Degrees that pictures are turned by, counter-clockwise.
        translation: How far pictures are moved, right and down, in picture widths.
        checkpoint: A file (safetensors, official .pkl). All sizes then come from it, and the arguments above are
            ignored, but for the last two.
        checkpoint_key: Which of several state dicts in the file, or how the names in one begin; None finds the usual.

    Raises:
        ValueError: A size or the checkpoint can't be used, or the checkpoint is of another family.
    """

    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        z_dim: int = 128,
        w_dim: int = 128,
        num_mapping_layers: int = 2,
        num_layers: int = 8,
        num_critical: int = 2,
        channel_base: int = 2048,
        channel_max: int = 64,
        equivariance: Literal["translation", "rotation"] = "translation",
        rotation: float = 0.0,
        translation: Sequence[float] = (0.0, 0.0),
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        super().__init__()
        weights: dict[str, Tensor] | None = None
        if checkpoint is not None:
            path = io.resolve(checkpoint)
            weights = load_family(path, checkpoint_key, "stylegan3")
            with usable(path, "StyleGAN3"):
                sizes = files.sizes(weights)
            layers, rate = sizes["layers"], sizes["sampling_rate"]
            z_dim, w_dim, num_mapping_layers = (sizes[name] for name in ("z_dim", "w_dim", "num_mapping_layers"))
            self.require_colours("generator.checkpoint", layers[-1].outputs)
        else:
            require_new(resolution, channels, least=16)
            require("generator", Within(1), z_dim=z_dim, w_dim=w_dim, num_mapping_layers=num_mapping_layers)
            require("generator", Within(1), num_critical=num_critical, channel_max=channel_max)
            require("generator", Within(num_critical + 1), num_layers=num_layers)
            require("generator", Within(resolution), channel_base=channel_base)  # else the last layer has no channels
            numbers = (resolution, channels, num_layers, num_critical, channel_base, channel_max)
            layers, rate = schedule(*numbers, radial=equivariance == "rotation")
        require("generator", Within(-math.inf), rotation=rotation)
        if len(translation) != 2 or not all(math.isfinite(part) for part in translation):
            raise ValueError(f"generator.translation: {list(translation)} is no way to the right and down; give two")
        self.resolution, self.channels = layers[-1].out_size, layers[-1].outputs
        self.mapping = MappingNetwork(z_dim, 0, w_dim, num_mapping_layers)
        self.synthesis = SynthesisNetwork(layers, w_dim, rate)
        self.synthesis.to(memory_format=torch.channels_last)
        if weights is not None:
            io.load_into(self, weights, checkpoint)
        self.trained = weights is not None
        if rotation or any(translation):
            self.synthesis.input.transform.copy_(moved(self.synthesis.input.transform, rotation, translation))
        self.style_sizes = self.synthesis.style_sizes
        self.num_ws = len(self.style_sizes)
        self.layers = tuple(self.style_sizes)[:-1]
        self.blocks = [self.synthesis.get_submodule(name) for name in self.layers]
        self.z_dim, self.spaces = z_dim, self.style_spaces(z_dim, w_dim)
        self.noise_shapes = {}
        self.freeze()

    @property
    def w_avg(self) -> Float[Tensor, " w"]:
        """The mean of w."""
        return self.mapping.w_avg

    def map_latent(self, z: Float[Tensor, "b z"], rng: torch.Generator | None = None) -> Float[Tensor, "b w"]:
        """z → w; in training the mean of w follows."""
        return self.mapping(z)

    def styles(self, w_plus: Float[Tensor, "b n w"]) -> dict[str, Tensor]:
        """Rotation and translation of each picture, and the style ``[b, c]`` of each layer, by name."""
        return {
            name: self.synthesis.get_submodule(name).affine(w_plus[:, row].contiguous())
            for name, row in self.synthesis.style_rows.items()
        }

    def affine(self, name: str) -> Float[Tensor, "outputs w"]:
        """The matrix that turns w into the style of a layer, or into rotation and translation."""
        affine = self.synthesis.get_submodule(name).affine
        return affine.weight * affine.weight_gain

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images, nominally in [−1, 1] and not clamped; there is no noise to choose."""
        return self.synthesis(self.styles_of(latent, space))

    def layer(self, name: str) -> nn.Module:
        if name not in self.layers:
            raise ValueError(f"layer: StyleGAN3 has no layer '{name}'; choose one of {', '.join(self.layers)}")
        return self.synthesis.get_submodule(name)


def moved(transform: Float[Tensor, "3 3"], rotation: float, translation: Sequence[float]) -> Float[Tensor, "3 3"]:
    """From points of a picture that is turned and then moved to those of features, where ``transform`` does that for
    the picture as it was; rows point down."""
    angle = math.radians(rotation)
    cos, sin = math.cos(angle), math.sin(angle)
    way = [[cos, sin, translation[0]], [-sin, cos, translation[1]], [0.0, 0.0, 1.0]]
    return transform @ torch.tensor(way, dtype=torch.double).inverse().to(transform)
