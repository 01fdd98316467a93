"""Blurred images."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import POSITIVE, require
from zstar.operators.base import AbstractOperator, Named, Shape
from zstar.stats.constants import Constant

Kernel = Literal["gaussian", "box"]
REACH = 3.0  # standard deviations at which a Gaussian kernel ends


class Blur(AbstractOperator):
    """Blurs images with a known kernel: the operator of deblurring.

    Images are mirrored at their sides. Kernels of one ``sigma`` blur about alike, whatever their shape: ``gaussian`` is
    cut at three standard deviations, ``box`` is the mean over a square whose side is about √(12 σ² + 1) pixels, whose
    outermost pixels count in part.

    Arguments:
        sigma: Standard deviation of the kernel along each axis in pixels, above 0.
        kernel: ``gaussian`` or ``box``.
        already: Whether the pictures at hand are blurred already, so that only G(v) is to be: a real restoration. A
            blurred picture is none of those that are blurred once more.
    """

    linear = True

    def __init__(self, sigma: float = 2.0, kernel: Kernel = "gaussian", already: bool = False) -> None:
        require("operator.blur", POSITIVE, sigma=sigma)
        self.sigma, self.kernel, self.already = sigma, kernel, already
        self._weights = Constant(_box(sigma) if kernel == "box" else _gaussian(sigma))

    def __call__(self, images: Float[Tensor, "b c h w"], targets: Named) -> Float[Tensor, "b c h w"]:
        """The blurred images."""
        weights = self._weights.like(images)
        reach = len(weights) // 2
        planes = F.pad(images.flatten(0, 1)[:, None], [reach] * 4, mode="reflect")
        planes = F.conv2d(F.conv2d(planes, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
        return planes.view_as(images)

    def observe(self, images: Float[Tensor, "b c h w"], targets: Named, ids: Sequence[str]) -> Float[Tensor, "b c h w"]:
        """The blurred images, which they may be already."""
        return images if self.already else self(images, targets)

    def shape(self, shape: Shape) -> Shape:
        width, size = len(self._weights.value), min(shape[1:])
        if width > size:
            raise ValueError(
                f"operator.blur.sigma: {self.sigma:g} makes a kernel of {width} pixels, which is wider than images of "
                f"{shape[1]} × {shape[2]} and leaves nothing of them; make it smaller"
            )
        return shape


def _gaussian(sigma: float) -> Float[Tensor, " n"]:
    """Weights of the neighbours in a line, an odd number of them."""
    reach = math.ceil(REACH * sigma)
    places = torch.arange(-reach, reach + 1, dtype=torch.float64)
    return _unit(torch.exp(-0.5 * (places / sigma).square()))


def _box(sigma: float) -> Float[Tensor, " n"]:
    """Likewise, equal weights but for the outermost two, which make ``sigma`` exact."""
    whole = int((math.sqrt(12 * sigma**2 + 1) - 1) / 2)
    moment = whole * (whole + 1) * (2 * whole + 1) / 3  # of all whole pixels about the middle one
    part = ((2 * whole + 1) * sigma**2 - moment) / (2 * ((whole + 1) ** 2 - sigma**2))
    ends = torch.tensor([part] if part > 1e-6 else [], dtype=torch.float64)
    return _unit(torch.cat([ends, torch.ones(2 * whole + 1, dtype=torch.float64), ends]))


def _unit(weights: Tensor) -> Float[Tensor, " n"]:
    return (weights / weights.sum()).float()
