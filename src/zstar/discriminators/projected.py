"""Projected discriminator: small heads on mixed features of a frozen network."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.annotators.base import AbstractAnnotator
from zstar.annotators.load import load_annotator
from zstar.config.constraints import Within, require
from zstar.discriminators.base import AbstractDiscriminator
from zstar.discriminators.spectral import SpectralConv
from zstar.stats.streams import stream


def head(source: int, width: int, halvings: int) -> nn.Sequential:
    """Halve the map down to 4×4, then one logit per cell."""
    layers: list[nn.Module] = []
    for i in range(halvings):
        layers += [SpectralConv(source, width * min(2**i, 2), 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        source = width * min(2**i, 2)
    layers += [SpectralConv(source, 2 * width, 3, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, SpectralConv(2 * width, 1, 1))


class Projected(AbstractDiscriminator):
    """Projected discriminator (Sauer et al. 2021, https://arxiv.org/abs/2111.01007), hinge loss, no penalty.

    Choose it for short trainings, where an annotator of the images exists: its features show the heads at once what
    objects are, and nothing has to be differentiated twice. Scores of a generator trained this way belong to another
    network than this annotator. Features of four scales pass fixed random maps: 1×1 convolutions that mix channels,
    then, from coarse to fine, 3×3 convolutions that mix scales, so that no head can ignore what is hard to see.

    Arguments:
        annotator: A file of weights or the name of a shipped one, or the network itself.
        mixed: Channels after mixing, fine to coarse.
        width: Channels of the heads' first convolution.
        resolution: Height and width of the images.
        channels: Colour channels of the images; annotators see three.
        classes: Number of classes that the images have, 0 for none.
        seed: Seed of the random maps.
    """

    def __init__(
        self,
        annotator: str | AbstractAnnotator = "annotator64",
        mixed: Sequence[int] = (32, 48, 64, 96),
        width: int = 48,
        resolution: int = 64,
        channels: int = 3,
        classes: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if channels != 3:
            raise ValueError(f"discriminator: annotators see 3 channels, not {channels}; use discriminator=stylegan2")
        network = load_annotator(annotator)[0] if isinstance(annotator, str) else annotator
        if len(mixed) != len(network.widths):
            raise ValueError(
                f"discriminator.mixed: {list(mixed)} has {len(mixed)} entries and the annotator's features "
                f"{len(network.widths)} scales; give one number of channels for each"
            )
        require("discriminator", Within(1), width=width, mixed=min(mixed))
        require("discriminator", Within(2 ** (len(mixed) + 1)), resolution=resolution)
        # In a tuple, and so no submodule: what is frozen belongs to no checkpoint and no optimizer.
        self._frozen = (network.eval().requires_grad_(False),)
        rng = stream("random maps", seed)
        for level, (source, target) in enumerate(zip(network.widths, mixed, strict=True)):
            self.register_buffer(f"channels{level}", _random(target, source, 1, rng))
            if level:
                self.register_buffer(f"scales{level}", _random(mixed[level - 1], target, 3, rng))
        sizes = [resolution // 2**level for level in range(len(mixed))]
        halvings = [int(math.log2(max(1, size // 4))) for size in sizes]
        self.heads = nn.ModuleList(head(c, width, n) for c, n in zip(mixed, halvings, strict=True))
        self.classes = classes
        self.embeds = nn.ModuleList(SpectralConv(classes, 2 * width, 1) for _ in mixed if classes)
        self.layers = [f"heads.{level}.1" for level in range(len(self.heads))]  # later ones see too far around them
        self.to(memory_format=torch.channels_last)

    def features(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Mixed features of the frozen annotator, fine to coarse."""
        raw = self._frozen[0].to(images.device).encode(images.contiguous(memory_format=torch.channels_last))
        mixed = [F.conv2d(x, getattr(self, f"channels{level}")) for level, x in enumerate(raw)]
        for level in range(len(mixed) - 1, 0, -1):
            x = F.conv2d(mixed[level], getattr(self, f"scales{level}"), padding=1)
            mixed[level - 1] = mixed[level - 1] + F.interpolate(x, scale_factor=2, mode="bilinear")
        return mixed

    def logits(self, features: list[Tensor], classes: Float[Tensor, "b k"] | None = None) -> list[Tensor]:
        """Logits of all cells, one tensor per scale."""
        if classes is None:
            return [head(x).flatten(1).float() for head, x in zip(self.heads, features, strict=True)]
        logits, column = [], classes[:, :, None, None]
        for head, embed, x in zip(self.heads, self.embeds, features, strict=True):
            seen = head[:-1](x)
            cells = head[-1](seen) + (seen * embed(column)).sum(dim=1, keepdim=True)
            logits.append(cells.flatten(1).float())
        return logits

    def loss(self, real: list[Tensor], fake: list[Tensor]) -> Float[Tensor, ""]:
        """Hinge loss, meaned over cells and summed over heads."""
        return sum(F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True))

    def generator_loss(self, fake: list[Tensor]) -> Float[Tensor, ""]:
        """Negative logits, meaned over cells and summed over heads."""
        return -sum(f.mean() for f in fake)

    def penalty(
        self,
        images: Float[Tensor, "b c h w"],
        step: int,
        rng: torch.Generator,
        classes: Float[Tensor, "b k"] | None = None,
    ) -> None:
        """None: spectral norms bound the heads."""

    def refresh(self) -> None:
        """One power iteration in every convolution of the heads."""
        for module in self.modules():
            if isinstance(module, SpectralConv):
                module.refresh()


def _random(target: int, source: int, kernel: int, rng: torch.Generator) -> Float[Tensor, "target source k k"]:
    """Kaiming-normal weights for a linear map."""
    return torch.randn(target, source, kernel, kernel, generator=rng) / math.sqrt(source * kernel**2)
