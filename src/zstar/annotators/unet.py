"""U-Net: the annotator whose features serve as the offline perceptual network."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.annotators.base import AbstractAnnotator, Annotation


def block(source: int, target: int, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm, leaky rectifier; the size of the map stays."""
    conv = nn.Conv2d(source, target, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(target), nn.LeakyReLU(0.1))


class UNet(AbstractAnnotator):
    """A small U-Net (Ronneberger et al., https://arxiv.org/abs/1505.04597): two convolutions per scale, four scales.

    Choose it for sharp masks and for a perceptual distance with fine and coarse features. Batch statistics are used
    in training only.

    Arguments:
        classes: Number of classes that a pixel can have.
        factors: Number of factors that an image has.
        widths: Channels of the encoder's maps, fine to coarse; images must be divisible by ``2 ** (len(widths) - 1)``.
        cells: The factor head reads the coarsest map pooled to ``cells × cells``, so that it knows places.
    """

    def __init__(self, classes: int, factors: int, widths: Sequence[int] = (24, 48, 96, 160), cells: int = 4) -> None:
        super().__init__()
        self.classes, self.factors, self.widths = classes, factors, tuple(widths)
        sources = (3, *widths[:-1])
        self.down = nn.ModuleList(nn.Sequential(block(s, t), block(t, t)) for s, t in zip(sources, widths, strict=True))
        joined = list(zip(widths[:-1], widths[1:], strict=True))
        self.narrow = nn.ModuleList(block(coarse, fine, 1) for fine, coarse in joined)
        self.up = nn.ModuleList(block(2 * fine, fine) for fine, _ in joined)
        self.segment = nn.Conv2d(widths[0], classes, 1)
        self.cells = cells
        self.squeeze = block(widths[-1], 48, 1)
        self.read = nn.Sequential(nn.Linear(48 * cells**2, 256), nn.LeakyReLU(0.1), nn.Linear(256, factors))

    def encode(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Maps at 1, 1/2, 1/4, … of the resolution of the images."""
        features, x = [], images
        for level, convolutions in enumerate(self.down):
            x = convolutions(F.avg_pool2d(x, 2) if level else x)
            features.append(x)
        return features

    def annotate(self, features: list[Tensor]) -> Annotation:
        """Decoder with skips for the classes; pooled coarsest map for the factors."""
        x = features[-1]
        for level in reversed(range(len(self.up))):
            x = F.interpolate(self.narrow[level](x), scale_factor=2, mode="nearest")
            x = self.up[level](torch.cat([x, features[level]], dim=1))
        cells = F.adaptive_avg_pool2d(self.squeeze(features[-1]), self.cells)
        return Annotation(self.segment(x), self.read(cells.flatten(1)), features)
