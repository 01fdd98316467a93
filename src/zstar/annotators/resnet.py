"""Residual network: an annotator of another architecture, for independent scores."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.annotators.base import AbstractAnnotator, Annotation


class Residual(nn.Module):
    """Pre-activation residual block with group norm; ``stride`` 2 halves the map."""

    def __init__(self, source: int, target: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, source), nn.SiLU(), nn.Conv2d(source, target, 3, stride, 1))
        self.second = nn.Sequential(nn.GroupNorm(8, target), nn.SiLU(), nn.Conv2d(target, target, 3, padding=1))
        same = source == target and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(source, target, 1, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d hh ww"]:
        """Skip plus two convolutions."""
        return self.skip(x) + self.second(self.first(x))


class ResNet(AbstractAnnotator):
    """Residual encoder (He et al., https://arxiv.org/abs/1603.05027) that starts at half resolution, linear decoder.

    Choose it to score a generator that was trained or inverted against the features of ``unet``: neither the
    architecture nor the normalisation nor the decoder is shared with it.

    Arguments:
        classes: Number of classes that a pixel can have.
        factors: Number of factors that an image has.
        widths: Channels of the encoder's maps from half resolution down, each a multiple of 8; images must be
            divisible by ``2 ** len(widths)``.
        cells: The factor head reads the coarsest map pooled to ``cells × cells``, so that it knows places.
    """

    def __init__(self, classes: int, factors: int, widths: Sequence[int] = (32, 64, 96, 128), cells: int = 4) -> None:
        super().__init__()
        self.classes, self.factors, self.widths = classes, factors, tuple(widths)
        self.stem = nn.Conv2d(3, widths[0], 5, stride=2, padding=2)
        pairs = list(zip((widths[0], *widths[:-1]), widths, strict=True))
        self.down = nn.ModuleList(Residual(s, t, 2 if level else 1) for level, (s, t) in enumerate(pairs))
        self.project = nn.ModuleList(nn.Conv2d(width, 48, 1) for width in widths)
        self.segment = nn.Sequential(nn.GroupNorm(8, 48), nn.SiLU(), nn.Conv2d(48, 4 * classes, 3, padding=1))
        self.cells = cells
        self.read = nn.Sequential(nn.Linear(widths[-1] * cells**2, 128), nn.SiLU(), nn.Linear(128, factors))

    def encode(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Maps at 1/2, 1/4, 1/8, … of the resolution of the images."""
        features, x = [], self.stem(images)
        for residual in self.down:
            x = residual(x)
            features.append(x)
        return features

    def annotate(self, features: list[Tensor]) -> Annotation:
        """Projections of all maps summed at half resolution; sub-pixel shuffle to full resolution."""
        size = features[0].shape[-2:]
        projected = [project(feature) for project, feature in zip(self.project, features, strict=True)]
        total = torch.stack([F.interpolate(p, size=size, mode="bilinear") for p in projected]).sum(dim=0)
        cells = F.adaptive_avg_pool2d(F.silu(features[-1]), self.cells)
        return Annotation(F.pixel_shuffle(self.segment(total), 2), self.read(cells.flatten(1)), features)
