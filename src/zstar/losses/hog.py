"""Histograms of oriented gradients of images."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import POSITIVE, Within, require
from zstar.images import LUMA, to_unit

FLAT = 1e-12  # squared gradient, in units of grey levels from 0 to 1, below which a pixel has no orientation


def hog(
    image: Float[Tensor, "b c h w"], cell: int = 8, bins: int = 8, contrast: float = 0.02
) -> Float[Tensor, "b bins hh ww"]:
    """Histogram of the orientations of edges in each cell (Dalal and Triggs 2005,
    https://doi.org/10.1109/CVPR.2005.177), differentiable.

    Central differences of the grey levels (from 0 to 1; none at the border), at right angles to which an edge runs;
    each pixel votes with the length of its gradient for the two bins nearest to its orientation, from 0° to 180°, in
    the shares of its distances from them; the mean of the votes in a cell is divided by √(its squared length +
    ``contrast``²). So a clear edge counts alike whatever its contrast, and noise hardly. Where rows or columns are
    left over beside whole cells, these belong to none.

    Arguments:
        image: In [−1, 1], of 3 channels, whose grey level is the luma of BT.601, or of 1.
        cell: Height and width of a cell, in pixels.
        bins: Number of orientations; the first bin's centre is a gradient along the rows.
        contrast: Mean length of a cell's gradients, in grey levels a pixel, at which its histogram has half of the
            squared length 1 that it has in full.
    """
    channels = image.split(1, dim=1)
    grey = sum(share * channel for share, channel in zip(LUMA, channels, strict=True)) if len(channels) == 3 else image
    grey = to_unit(grey)
    dx = F.pad((grey[..., 2:] - grey[..., :-2]) / 2, (1, 1))
    dy = F.pad((grey[..., 2:, :] - grey[..., :-2, :]) / 2, (0, 0, 1, 1))
    squared = dx.square() + dy.square()
    edge = squared > FLAT  # elsewhere neither the length nor the angle has a derivative
    length = torch.where(edge, squared, torch.ones_like(squared)).sqrt() * edge
    angle = torch.atan2(torch.where(edge, dy, torch.zeros_like(dy)), torch.where(edge, dx, torch.ones_like(dx)))
    place = (angle / math.pi * bins) % bins
    centres = torch.arange(bins, device=image.device, dtype=image.dtype).view(1, -1, 1, 1)
    apart = (place - centres).abs()
    votes = length * (1 - torch.minimum(apart, bins - apart)).clamp_min(0)
    cells = F.avg_pool2d(votes, cell)
    return cells / (cells.square().sum(dim=1, keepdim=True) + contrast**2).sqrt()


def require_hog(group: str, cell: int, bins: int, contrast: float) -> None:
    """Refuse settings of :func:`hog` that are not possible."""
    require(group, Within(1), cell=cell)
    require(group, Within(2), bins=bins)
    require(group, POSITIVE, contrast=contrast)


def require_cells(group: str, image: Float[Tensor, "b c h w"], cell: int) -> None:
    """Refuse images without a single cell."""
    if min(image.shape[-2:]) < cell:
        size = "×".join(map(str, image.shape[-2:]))
        raise ValueError(f"{group}.cell: {cell} is more than images of {size} pixels have; choose less")
