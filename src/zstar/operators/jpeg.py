"""JPEG."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import Within, require
from zstar.images import LUMA
from zstar.operators.base import AbstractOperator, Named, Shape
from zstar.stats.constants import Constant

SIDE = 8  # pixels of a block
BRIGHTNESS = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
COLOUR = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))  # of the coarse waves; 99 for others


class Jpeg(AbstractOperator):
    """Compresses images as JPEG does: the operator of taking its blocks and halos away.

    Brightness and, at half the resolution, colour are rounded to multiples of quality's steps in the cosine waves of
    blocks of 8 × 8 pixels. The result is that of an encoder and a decoder (ITU-T T.81, annex K's tables, libjpeg's
    qualities, 4:2:0) up to a level of 255 in the mean. Its gradient takes what is rounded and clamped for what it was
    before ("straight through", Bengio et al. 2013, https://arxiv.org/abs/1308.3432).

    kornia's codec rounds softly, so that what it makes of an observation is no file's content, and it looks at the
    quality in every step, for which a GPU would wait.

    Arguments:
        quality: 1 (the smallest files) to 100.
    """

    def __init__(self, quality: int = 10) -> None:
        require("operator.jpeg", Within(1, 100), quality=quality)
        self.quality = quality
        colour = torch.full((SIDE, SIDE), 99.0)
        colour[:4, :4] = torch.tensor(COLOUR)
        self._brightness = Constant(_steps(torch.tensor(BRIGHTNESS).float(), quality))
        self._colour = Constant(_steps(colour, quality))

    def __call__(self, images: Float[Tensor, "b c h w"], targets: Named) -> Float[Tensor, "b c h w"]:
        """What comes out of a file of the images; sizes that no blocks fill are filled up by their last pixels."""
        height, width = images.shape[-2:]
        whole = SIDE if images.shape[1] == 1 else 2 * SIDE
        levels = F.pad((images + 1) * 127.5, [0, -width % whole, 0, -height % whole], mode="replicate")
        brightness = levels if images.shape[1] == 1 else (levels * _LUMA.like(levels)).sum(dim=1, keepdim=True)
        found = self._code(brightness, self._brightness) if images.shape[1] == 1 else self._colours(levels, brightness)
        found = found + (found.clamp(0, 255) - found).detach()
        return found[..., :height, :width] / 127.5 - 1

    def _colours(self, levels: Float[Tensor, "b 3 h w"], brightness: Tensor) -> Float[Tensor, "b 3 h w"]:
        """Images in [0, 255] by their brightness and the halved differences of red and blue from it."""
        weights = _DIFFERENCE.like(levels)
        half = F.avg_pool2d((levels[:, ::2] - brightness) / weights + 128, 2)
        smooth = F.interpolate(self._code(half, self._colour), scale_factor=2, mode="bilinear", align_corners=False)
        brightness = self._code(brightness, self._brightness)
        red, blue = (brightness + (smooth - 128) * weights).split(1, dim=1)
        r, g, b = LUMA
        return torch.cat([red, (brightness - r * red - b * blue) / g, blue], dim=1)

    def _code(self, planes: Float[Tensor, "b c h w"], steps: Constant) -> Float[Tensor, "b c h w"]:
        """Planes in [0, 255] with their waves rounded to multiples of ``steps``."""
        blocks = (planes - 128).unfold(2, SIDE, SIDE).unfold(3, SIDE, SIDE)
        waves, step = _WAVES.like(planes), steps.like(planes)
        found = waves @ blocks @ waves.T / step
        found = found + (found.round() - found).detach()
        blocks = waves.T @ (found * step) @ waves
        return blocks.transpose(3, 4).reshape(planes.shape) + 128

    def shape(self, shape: Shape) -> Shape:
        if shape[0] not in (1, 3):
            raise ValueError(f"operator.jpeg: no JPEG has {shape[0]} channels; it is for grey images and colours")
        return shape


def _steps(table: Float[Tensor, "8 8"], quality: int) -> Float[Tensor, "8 8"]:
    """A table at a quality as libjpeg scales it."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((table * scale + 50) // 100).clamp(1, 255)


def _cosines() -> Float[Tensor, "8 8"]:
    """The orthonormal cosine waves, a row each."""
    place = torch.arange(SIDE, dtype=torch.float64)
    waves = torch.cos(math.pi / SIDE * place[:, None] * (place + 0.5)) * math.sqrt(2 / SIDE)
    waves[0] /= math.sqrt(2)
    return waves.float()


_WAVES = Constant(_cosines())
_LUMA = Constant(torch.tensor(LUMA).view(1, 3, 1, 1))
_DIFFERENCE = Constant(torch.tensor([2 * (1 - LUMA[0]), 2 * (1 - LUMA[2])]).view(1, 2, 1, 1))  # largest, as share of 1
