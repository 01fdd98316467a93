"""The StyleGAN of 2018."""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.checkpoints import stylegan as files
from zstar.checkpoints.families import load_family, usable
from zstar.config.constraints import FilePath, Within, require
from zstar.generators.base import Noise
from zstar.generators.sizes import doubling_widths, require_new
from zstar.generators.style_based import AbstractStyleBased
from zstar.generators.stylegan_networks import MappingNetwork, SynthesisNetwork, Truncation

FUSED_FROM = 128  # pixels, where it is left to the sizes, as published


class StyleGAN(AbstractStyleBased):
    """The StyleGAN of 2018 (Karras et al. 2019, https://arxiv.org/abs/1812.04948), grown to its full size.

    The generator of InterFaceGAN, Image2StyleGAN and in-domain inversion. Spaces, each lifted to the next: ``z``
    [z_dim], normal; ``w`` [w_dim]; ``w_plus`` [num_ws, w_dim], a w for each layer; ``style`` [sum of ``style_sizes``],
    scales and shifts of all layers side by side. Feature layers and noise maps: ``layer0``, ``layer1`` (4×4),
    ``layer2``, ``layer3`` (8×8), …; published images are of w truncated to 0.7 in the first 8 rows.

    Arguments:
        resolution: Height and width of the image, a power of two from 8 on.
        channels: Colours, 3 or 1.
        z_dim, w_dim: Lengths of z and w.
        num_mapping_layers: Layers of the mapping network.
        channel_base, channel_max: Resolution r has ``min(channel_base // r, channel_max)`` feature channels.
        fused_scale: Whether up-sampling and convolution are one transposed convolution; ``auto`` from 128 pixels on.
        checkpoint: A file with a state dict in genforce's layout. All sizes then come from it, and the arguments above
            are ignored.
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
        num_mapping_layers: int = 8,
        channel_base: int = 2048,
        channel_max: int = 128,
        fused_scale: bool | Literal["auto"] = "auto",
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        super().__init__()
        weights: dict[str, Tensor] | None = None
        if checkpoint is not None:
            path = io.resolve(checkpoint)
            weights = load_family(path, checkpoint_key, "stylegan")
            with usable(path, "StyleGAN of 2018"):
                sizes = files.sizes(weights)
            self.require_colours("generator.checkpoint", sizes["channels"])
        else:
            require("generator", Within(1), z_dim=z_dim, w_dim=w_dim, num_mapping_layers=num_mapping_layers)
            require_new(resolution, channels)
            widths = doubling_widths(resolution, channel_base, channel_max)
            mapped = {"z_dim": z_dim, "w_dim": w_dim, "hidden_dim": w_dim, "num_mapping_layers": num_mapping_layers}
            fused = [r for r in widths if fused_scale is True or (fused_scale == "auto" and r >= FUSED_FROM)]
            sizes = {"widths": widths, "channels": channels, "fused": fused} | mapped
        self._make(**sizes)
        if weights is not None:
            io.load_into(self, weights, checkpoint)
        self.trained = weights is not None
        self.freeze()

    def _make(
        self,
        widths: dict[int, int],
        channels: int,
        z_dim: int,
        w_dim: int,
        hidden_dim: int,
        num_mapping_layers: int,
        fused: list[int],
    ) -> None:
        self.resolution, self.channels = max(widths), channels
        self.mapping = MappingNetwork(z_dim, hidden_dim, w_dim, num_mapping_layers)
        self.truncation = Truncation(w_dim)
        self.synthesis = SynthesisNetwork(widths, w_dim, channels, fused)
        self.synthesis.to(memory_format=torch.channels_last)
        self.style_sizes = self.synthesis.style_sizes
        self.layers, self.num_ws = tuple(self.style_sizes), len(self.style_sizes)
        self.blocks = [self.synthesis.get_submodule(name) for name in self.layers]
        maps = {name: self.synthesis.get_submodule(name).epilogue.apply_noise.noise for name in self.layers}
        self.noise_shapes = {name: tuple(noise.shape[2:]) for name, noise in maps.items()}
        self.z_dim, self.spaces = z_dim, self.style_spaces(z_dim, w_dim)

    @property
    def w_avg(self) -> Float[Tensor, " w"]:
        """The mean of w."""
        return self.truncation.w_avg

    def map_latent(self, z: Float[Tensor, "b z"], rng: torch.Generator | None = None) -> Float[Tensor, "b w"]:
        """z → w; in training the mean of w follows."""
        w = self.mapping(z)
        if self.training:
            self.truncation.follow(w)
        return w

    def styles(self, w_plus: Float[Tensor, "b n w"]) -> dict[str, Tensor]:
        """The scales and shifts ``[b, 2c]`` of each layer, by name."""
        layers = enumerate(self.layers)
        return {name: self._dense(name)(w_plus[:, row].contiguous()) for row, name in layers}

    def affine(self, name: str) -> Float[Tensor, "outputs w"]:
        """The matrix that turns w into the scales and shifts of a layer."""
        dense = self._dense(name)
        return dense.linear.weight * dense.scale

    def _dense(self, name: str) -> Any:
        return self.synthesis.get_submodule(name).epilogue.style_mod.dense

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images, nominally in [−1, 1] and not clamped."""
        self.require_noise(noise)
        return self.synthesis(self.styles_of(latent, space), noise)

    def layer(self, name: str) -> nn.Module:
        if name not in self.layers:
            raise ValueError(f"layer: StyleGAN has no layer '{name}'; choose one of {', '.join(self.layers)}")
        return self.synthesis.get_submodule(name)
