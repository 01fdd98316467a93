"""Multi-scale structural similarity."""

from functools import cache, lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.losses.base import AbstractLoss, spatial_mean

BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
TAPS, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
FLOOR = 0.05


class MSSSIM(AbstractLoss):
    """1 − MS-SSIM (Wang et al. 2003, https://ece.uwaterloo.ca/~z70wang/publications/msssim.pdf), of images in [0, 1]
    inside.

    The choice for structure (edges, contrast) at several sizes without any network. It cares little about colour: put a
    pixel loss beside it. 0 for equal images, about 1 for unrelated ones.

    Windows are Gaussian (11 taps, σ = 1.5 pixels, inside the image only). There are as many of the five scales as leave
    room for a window, i.e. a shorter side of 11·2^(scales−1) pixels: 5 from 176 on, 4 from 88, 3 from 44 (so at 64),
    2 from 22, 1 from 11; the published exponents of the scales that remain are divided by their sum.

    With a weight map, each local mean and variance is itself weighted, so pixels of weight zero have no influence at
    all. A contrast term below 0.05 is continued by an exponential instead of clipped, so that opposed images have a
    gradient.

    Arguments:
        weight: λ, the factor of this loss in the objective.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
    """

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        return [image / 2 + 0.5]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        x, y = torch.broadcast_tensors(features[0], target[0])
        betas = exponents(scales(*x.shape[-2:]))
        mask = _mask(x, weights)
        logarithm = x.new_zeros(len(x))
        for scale, beta in enumerate(betas):
            last = scale == len(betas) - 1
            logarithm = logarithm + beta * _log(_difference(x, y, mask, luminance=last))
            if not last:
                x, y, mask = _half(x, mask), _half(y, mask), F.avg_pool2d(mask, 2)
        return 1 - logarithm.exp()  # not expm1: its gradient is lost where it rounds to −1


def scales(height: int, width: int) -> int:
    """How many of the five standard scales an image of this size has room for."""
    short = min(height, width)
    count = sum(short >> scale >= TAPS for scale in range(len(BETAS)))
    if count == 0:
        raise ValueError(
            f"loss.ms_ssim: images are {height}×{width} pixels and its window needs {TAPS}; remove ms_ssim from loss"
        )
    return count


@cache
def exponents(count: int) -> list[float]:
    """The published exponents of the first scales, divided by their sum."""
    betas = torch.tensor(BETAS[:count])
    return (betas / betas.sum()).tolist()


def _mask(x: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return x.new_ones(len(x), 1, *x.shape[-2:])
    if weights.shape[-2:] != x.shape[-2:]:
        weights = F.interpolate(weights, size=x.shape[-2:], mode="area")
    return weights.expand(len(x), -1, -1, -1)


def _half(x: Tensor, mask: Tensor) -> Tensor:
    return F.avg_pool2d(x * mask, 2) / F.avg_pool2d(mask, 2).clamp_min(1e-12)


def _window(x: Tensor) -> Tensor:
    """Local Gaussian means of every channel, where the whole window is inside."""
    height, width = x.shape[-2:]
    return _gaussians(height, x.device, x.dtype) @ x @ _gaussians(width, x.device, x.dtype).T


@lru_cache(maxsize=32)
def _gaussians(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The window at each of its places, one per row: as a matrix product it is ten times as fast as a convolution."""
    with torch.inference_mode(False):  # as it is kept, and may be wanted for a gradient next
        places = torch.arange(size, device=device, dtype=dtype)
        distance = places - places[: size - TAPS + 1, None] - TAPS // 2
        rows = torch.exp(-distance.square() / (2 * SIGMA**2)) * (distance.abs() <= TAPS // 2)
        return rows / rows.sum(dim=1, keepdim=True)


def _difference(x: Tensor, y: Tensor, mask: Tensor, luminance: bool) -> Tensor:
    """Mean over the image of 1 − contrast × structure (× luminance, on the coarsest scale)."""
    moments = torch.cat([x, y, x * x, y * y, x * y], dim=1) * mask
    share = _window(mask)
    mean_x, mean_y, xx, yy, xy = (_window(moments) / share.clamp_min(1e-12)).chunk(5, dim=1)
    product, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    value = (2 * (xy - product) + C2) / (xx + yy - squares + C2)
    if luminance:
        value = value * (2 * product + C1) / (squares + C1)
    return spatial_mean(1 - value, share)


def _log(difference: Tensor) -> Tensor:
    """log(1 − difference), and where 1 − difference is below FLOOR its tangent there: finite, and with a slope."""
    bend = 1 - FLOOR
    return (-difference.clamp_max(bend)).log1p() - (difference - bend).clamp_min(0) / FLOOR
