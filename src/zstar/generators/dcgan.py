"""DCGAN."""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import dcgan as files
from zstar.checkpoints import io
from zstar.checkpoints.families import load_family
from zstar.checkpoints.settings import card_settings
from zstar.config.constraints import FilePath, Within, require
from zstar.generators.adversarial import AbstractAdversarial
from zstar.generators.base import Noise
from zstar.generators.dcgan_networks import stack
from zstar.generators.one_space import AbstractOneSpace
from zstar.generators.sizes import require_new_colours

USUAL = {"normalization": "batch", "prior": "normal"}
SMALLEST = 4  # pixels, of the first feature map


class DCGAN(AbstractOneSpace, AbstractAdversarial):
    """DCGAN (Radford et al. 2016, https://arxiv.org/abs/1511.06434) as in PyTorch's examples: convolutions from z to
    the image, each onto twice the size, with a normalisation and a ReLU behind each but the last, which ends in tanh.

    Choose it where a small, plain GAN will do. Its one space is ``z``, [z_dim]. Feature layers: ``main.2``, ``main.5``,
    …, the outputs of the ReLUs; convolutions: ``main.0``, ``main.3``, …, what comes before the normalisation.

    Arguments:
        resolution: Height and width of the image: 4 to 7 pixels, doubled at least once.
        channels: Colours, 3 or 1.
        z_dim: Length of z.
        width: Feature channels of the finest layer; each coarser one has twice as many.
        convolutions: ``transposed``, as published; or ``resize``, nearest up-sampling and a 3×3 convolution, which
            leaves no checkerboard (Odena et al. 2016, https://doi.org/10.23915/distill.00003).
        bias: Whether the convolutions have biases; as published, they have none.
        normalization: ``batch``, ``instance`` without an affine map, or ``none``; None is what the card of the
            checkpoint says, else batch. A file with batch norm has no other.
        prior: What z was drawn from in training, ``normal`` (0, 1) or ``uniform`` on [−1, 1]; None is what the card of
            the checkpoint says, else normal.
        checkpoint: A file with a state dict of PyTorch's examples, or of any such chain of layers, whatever their
            names. All sizes then come from it, and the arguments above but for the last two are ignored.
        checkpoint_key: Which of several state dicts in the file, or how the names in one begin; None finds the usual.

    Raises:
        ValueError: A size or the checkpoint can't be used, or the checkpoint is of another family.
    """

    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        z_dim: int = 100,
        width: int = 32,
        convolutions: Literal["transposed", "resize"] = "transposed",
        bias: bool = False,
        normalization: Literal["batch", "instance", "none"] | None = None,
        prior: Literal["normal", "uniform"] | None = None,
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        super().__init__()
        given = {"normalization": normalization, "prior": prior}
        self.settings = USUAL | {name: value for name, value in given.items() if value is not None}
        weights: dict[str, Tensor] | None = None
        if checkpoint is None:
            layout = self._layout(resolution, channels, z_dim, width, convolutions, bias)
        else:
            path = io.resolve(checkpoint)
            weights = load_family(path, checkpoint_key, "dcgan")
            layout = files.sizes(weights)
            told = card_settings(path, files.SETTINGS)
            self.settings |= {name: value for name, value in told.items() if given[name] is None}
            self._require_norm(layout.pop("normalised"), path)
        self.main = stack(**layout, normalization=self.settings["normalization"])
        self.main.to(memory_format=torch.channels_last)
        if weights is not None:
            io.load_into(self, weights, checkpoint)
        self.trained = weights is not None
        self.prior = self.settings["prior"]
        self.batch_statistics = self.settings["normalization"] == "batch"
        self.traits = {name: value for name, value in self.settings.items() if value != USUAL[name]}
        kernels = range(0, len(self.main), 3)
        self.convolutions = tuple(f"main.{i}" for i in kernels)
        self.layers = tuple(f"main.{i + 2}" for i in kernels[:-1])
        self.z_dim, self.channels = layout["widths"][0], layout["widths"][-1]
        self.resolution = layout["first"] * 2 ** (len(layout["widths"]) - 2)
        self.spaces = {"z": (self.z_dim,)}
        self.noise_shapes = {}
        self.freeze()
        self.normalizes = self._silent_at_zero()

    @torch.no_grad()
    def _silent_at_zero(self) -> bool:
        """Whether no unit of the first layer is active at z = 0, as in most that were trained: no gradient leads away
        from there. Instance norm leaves nothing of the length of z in any case."""
        return not self.main[:3](torch.zeros(1, self.z_dim, 1, 1)).any().item()

    @staticmethod
    def _layout(
        resolution: int, channels: int, z_dim: int, width: int, convolutions: str, bias: bool
    ) -> dict[str, Any]:
        """The arguments of a new stack of layers."""
        first, doublings = resolution, 0
        while first % 2 == 0 and first >= 2 * SMALLEST:
            first, doublings = first // 2, doublings + 1
        if not doublings or first >= 2 * SMALLEST:
            raise ValueError(f"generator.resolution: {resolution} is not 4 to 7, doubled; choose e.g. 64 or 28")
        require_new_colours(channels)
        require("generator", Within(1), z_dim=z_dim, width=width)
        widths = [z_dim, *(width * 2**i for i in reversed(range(doublings))), channels]
        biases = [bias] * (doublings + 1)
        return {"widths": widths, "first": first, "transposed": convolutions == "transposed", "biases": biases}

    def _require_norm(self, normalised: bool, path: object) -> None:
        """Refuse a normalisation that the weights do not have, or of which they do not tell."""
        chosen = self.settings["normalization"]
        if normalised != (chosen == "batch"):
            fix = "null" if normalised else "instance or none, whichever it was trained with"
            there = "batch norm" if normalised else "no batch norm"
            raise ValueError(f"generator.normalization: {chosen}, but {path} has {there}; set it to {fix}")

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images in [−1, 1]; there is no noise to choose."""
        return self.main(latent[:, :, None, None])

    def layer(self, name: str) -> nn.Module:
        if name not in self.layers and name not in self.convolutions:
            raise ValueError(f"layer: DCGAN has no layer '{name}'; choose one of {', '.join(self.layers)}")
        return self.get_submodule(name)
