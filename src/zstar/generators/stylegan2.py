"""StyleGAN2 in plain torch, equal to the official networks and ready for their weights."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.checkpoints import io
from zstar.checkpoints.stylegan2_ada import DEFAULTS
from zstar.config.constraints import POSITIVE, FilePath, Within, require
from zstar.generators.base import Noise
from zstar.generators.sizes import doubling_widths, require_new
from zstar.generators.style_based import AbstractStyleBased
from zstar.generators.stylegan2_networks import ARCHITECTURES, MappingNetwork, SynthesisNetwork

USUAL = {**DEFAULTS, "label": None}


class StyleGAN2(AbstractStyleBased):
    """StyleGAN2 (Karras et al. 2020, https://arxiv.org/abs/1912.04958; ADA: https://arxiv.org/abs/2006.06676).

    The generator that most projection methods were made for, and the default. Spaces, each lifted to the next:
    ``z`` [z_dim], normal; ``w`` [w_dim]; ``w_plus`` [num_ws, w_dim], a w for each layer; ``style`` [sum of
    ``style_sizes``], the affine outputs of all layers side by side (StyleSpace, https://arxiv.org/abs/2011.12799).
    Feature layers: ``b4``, ``b8``, … up to the resolution, and ``b8.conv0``, ``b8.conv1``, …, the outputs of the
    convolutions. Noise maps: one for each convolution.

    Arguments:
        resolution: Height and width of the image, a power of two from 8 on.
        channels: Colours, 3 or 1.
        z_dim, w_dim: Lengths of z and w.
        num_mapping_layers: Layers of the mapping network.
        channel_base, channel_max: Resolution r has ``min(channel_base // r, channel_max)`` feature channels.
        architecture: ``skip`` (an image grows beside the features), ``resnet`` or ``orig``.
        c_dim: Number of classes of a conditional network, 0 for none.
        label: Which class a conditional network draws; ``all`` for one after the other: the prior of w, w_plus and
            style is then that of all classes, and z, in which a latent says nothing of a class, is no space; ``own``
            for a class of each image, from ``data.classes`` or, in z, found with the latent.
        resample_filter: Taps of the up-sampling filter, one dimension of it; an even number of them.
        conv_clamp: Limit of the activations' magnitude, None for none.
        mapping_lr_multiplier: The mapping network learns slower by this factor.
        checkpoint: A file (safetensors, StyleGAN2-ADA .pkl, .pt of rosinality, pSp or e4e) or a shipped name.
            All sizes then come from it, and the arguments above, except ``label``, are ignored.
        checkpoint_key: Which of several state dicts in the file, or how the names in one begin; None finds the usual.

    Raises:
        ValueError: A size or the checkpoint can't be used, or a conditional network got no label.
    """

    batched_weights = True
    normalizes = True

    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        z_dim: int = 128,
        w_dim: int = 128,
        num_mapping_layers: int = 4,
        channel_base: int = 2048,
        channel_max: int = 128,
        architecture: str = "skip",
        c_dim: int = 0,
        label: int | Literal["all", "own"] | None = None,
        resample_filter: Sequence[int] = (1, 3, 3, 1),
        conv_clamp: float | None = None,
        mapping_lr_multiplier: float = 0.01,
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        super().__init__()
        weights: dict[str, Tensor] | None = None
        fir = torch.tensor(resample_filter, dtype=torch.float32)
        fir = torch.outer(fir, fir) / fir.sum().square()
        if checkpoint is not None:
            weights, settings = io.load_generator_checkpoint(io.resolve(checkpoint), checkpoint_key)
            widths, channels, z_dim, w_dim = (settings[key] for key in ("widths", "channels", "z_dim", "w_dim"))
            num_mapping_layers, architecture, c_dim = (
                settings[key] for key in ("num_mapping_layers", "architecture", "c_dim")
            )
            conv_clamp, mapping_lr_multiplier = settings["conv_clamp"], settings["mapping_lr_multiplier"]
            fir = weights["synthesis.b4.resample_filter"]
            self.require_colours("generator.checkpoint", channels)
        else:
            require_new(resolution, channels)
            require("generator", Within(1), z_dim=z_dim, w_dim=w_dim, num_mapping_layers=num_mapping_layers)
            widths = doubling_widths(resolution, channel_base, channel_max)
            require("generator", Within(0), c_dim=c_dim)
            require("generator", POSITIVE, conv_clamp=conv_clamp or 1, mapping_lr_multiplier=mapping_lr_multiplier)
        if architecture not in ARCHITECTURES:
            raise ValueError(f"generator.architecture: '{architecture}' is unknown; choose {', '.join(ARCHITECTURES)}")
        if len(fir) % 2:
            raise ValueError(f"generator.resample_filter: {len(fir)} taps are odd; choose an even number such as 4")
        self.resolution, self.channels, self.architecture = max(widths), channels, architecture
        self.z_dim, self.w_dim, self.c_dim = z_dim, w_dim, c_dim
        self.settings = {"conv_clamp": conv_clamp, "mapping_lr_multiplier": mapping_lr_multiplier}
        traits = {**self.settings, "label": label}
        self.traits = {name: value for name, value in traits.items() if value != USUAL[name]}
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, num_mapping_layers, mapping_lr_multiplier)
        self.synthesis = SynthesisNetwork(widths, w_dim, channels, architecture, fir, conv_clamp)
        self.synthesis.to(memory_format=torch.channels_last)
        self.trained = weights is not None
        if weights is not None:
            io.load_into(self, weights, checkpoint)
        self.register_buffer("label", self._one_hot(label), persistent=False)
        self.num_ws = self.synthesis.num_ws
        self.style_sizes = self.synthesis.style_sizes
        self.layers = self.synthesis.names
        self.blocks = [self.synthesis.get_submodule(name) for name in self.layers]
        self.convolutions = tuple(name for name in self.style_sizes if not name.endswith("torgb"))
        self.classes = c_dim if label == "own" else 0
        self.prior = None if label == "all" else "normal"
        spaces = self.style_spaces(z_dim, w_dim)
        self.spaces = {name: shape for name, shape in spaces.items() if (name, label) != ("z", "all")}
        self.noise_shapes = {
            name: tuple(self.synthesis.get_submodule(name).noise_const.shape)
            for name in self.style_sizes
            if not name.endswith("torgb")
        }
        self.freeze()

    def _one_hot(self, label: int | str | None) -> Tensor | None:
        if self.c_dim == 0:
            if label is not None:
                raise ValueError(
                    f"generator.label: this network has no classes, so {label} means nothing; leave it null"
                )
            return None
        if label in ("all", "own"):
            return None
        if not isinstance(label, int) or not 0 <= label < self.c_dim:
            choice = f"one of 0..{self.c_dim - 1}, all or own"
            raise ValueError(f"generator.label: {label} is no class of this network; choose {choice}")
        return F.one_hot(torch.tensor([label]), self.c_dim).float()

    @property
    def w_avg(self) -> Float[Tensor, " w"]:
        """The mean of w."""
        return self.mapping.w_avg

    def map_latent(self, z: Float[Tensor, "b z"], rng: torch.Generator | None = None) -> Float[Tensor, "b w"]:
        """z → w, of the class that is chosen; in training the mean of w follows."""
        label = self._condition()
        if self.c_dim and label is None:
            if rng is None:
                raise ValueError(
                    "generator.label: with a class for each image, latents of z are no pictures without theirs; choose "
                    "another space, or one class"
                )
            label = self.draw_classes(len(z), rng)
        return self.mapping(z, label)

    def _condition(self) -> Float[Tensor, "_ c"] | None:
        return self.label if self.condition is None else self.condition

    def styles(self, w_plus: Float[Tensor, "b n w"]) -> dict[str, Tensor]:
        """The style ``[b, size]`` of each layer, by name."""
        return self.synthesis.styles(w_plus)

    def affine(self, name: str) -> Float[Tensor, "outputs w"]:
        """The matrix that turns w into the style of a layer, without its bias."""
        affine = self.synthesis.get_submodule(name).affine
        return affine.weight * affine.weight_gain

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        self.require_noise(noise)
        return self.synthesis(self.styles_of(latent, space), noise)

    def layer(self, name: str) -> nn.Module:
        if name in self.convolutions:
            return self.synthesis.get_submodule(name)
        if name not in self.layers:
            raise ValueError(f"layer: StyleGAN2 has no layer '{name}'; choose one of {', '.join(self.layers)}")
        return self.synthesis.get_submodule(name).features
