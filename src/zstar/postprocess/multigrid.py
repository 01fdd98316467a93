"""Poisson's equation on any region of a picture: conjugate gradients with a multigrid cycle before each of them."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

DAMPING = 0.8  # of Jacobi's steps, which then smooth best
SMOOTHINGS = 2  # before and after what is coarser, as many, so that the cycle is symmetric
COARSEST, SOLVING = 8, 24  # pixels of a side, where so many of Jacobi's steps are a solution


def neighbours(values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Sum of the four neighbours of each pixel; those beyond the border are zero."""
    padded = F.pad(values, [1, 1, 1, 1])
    across = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
    return across + padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]


@dataclass(frozen=True)
class Region:
    """The pixels that are unknown. Those around it are known, and beyond the border of the picture there is nothing.

    Attributes:
        inside: 1 for them and 0 elsewhere, ``[b, 1, h, w]``.
        degree: Number of neighbours that each of them has; 1 elsewhere.
        coarser: The same with half the pixels, where there is any use for it.
        share: What interpolation from the coarser grid is divided by, as it takes from beyond the picture's border.
    """

    inside: Float[Tensor, "b 1 h w"]
    degree: Float[Tensor, "b 1 h w"]
    coarser: "Region | None"
    share: Float[Tensor, "_ 1 h w"] | None

    @classmethod
    def of(cls, mask: Bool[Tensor, "b 1 h w"], real: Bool[Tensor, "_ 1 h w"], like: Tensor) -> "Region":
        """The region where ``mask`` is; ``real`` are the pixels that the picture has, of sides that can be halved."""
        inside = mask.to(like)
        degree = torch.where(mask, neighbours(real.to(like)).clamp_min(1), 1.0)
        coarser = share = None
        height, width = mask.shape[-2:]
        if min(height, width) > COARSEST and height % 2 == 0 == width % 2:
            whole = -F.max_pool2d(-inside, 2)  # where all four are unknown
            if whole.any():
                left = F.max_pool2d(real.to(like), 2)
                coarser = cls.of(whole > 0, left > 0, like)
                share = F.conv_transpose2d(left, _kernel(left), stride=2, padding=1).clamp_min(0.25)
        return cls(inside, degree, coarser, share)

    def apply(self, values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The Laplacian of values that are zero outside, with its sign turned: symmetric, and positive."""
        return (self.degree * values - neighbours(values)) * self.inside

    def cycle(self, residual: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """About the solution for a residual, in one way down to the coarsest grid and back: a symmetric operator."""
        step = DAMPING * self.inside / self.degree
        values = step * residual
        for _ in range((SMOOTHINGS if self.coarser else SOLVING) - 1):
            values = values + step * (residual - self.apply(values))
        if self.coarser is not None:
            kernel = _kernel(residual)
            count = residual.shape[1]
            left = (residual - self.apply(values)) / self.share
            coarse = self.coarser.cycle(F.conv2d(left, kernel, stride=2, padding=1, groups=count) * self.coarser.inside)
            fine = F.conv_transpose2d(coarse, kernel, stride=2, padding=1, groups=count)
            values = values + fine / self.share * self.inside
            for _ in range(SMOOTHINGS):
                values = values + step * (residual - self.apply(values))
        return values


def _kernel(like: Float[Tensor, "b c h w"]) -> Float[Tensor, "c 1 4 4"]:
    """Bilinear interpolation between grids, one way, and its transpose the other."""
    line = like.new_tensor([0.25, 0.75, 0.75, 0.25])
    return (line[:, None] * line).expand(like.shape[1], 1, 4, 4).contiguous()


def solve(
    region: Region, right: Float[Tensor, "b c h w"], start: Float[Tensor, "b c h w"], tolerance: float, most: int
) -> Float[Tensor, "b c h w"]:
    """Values of the region whose turned Laplacian is ``right``, each image and colour for itself.

    Arguments:
        start: Where to begin; zero outside of the region.
        tolerance: Root mean square of what is left of ``right``, over that of ``right`` itself, at which all are done.
        most: Iterations.
    """

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(dim=(2, 3), keepdim=True)

    values, residual = start, right - region.apply(start)
    goal = tolerance**2 * dot(right, right).clamp_min(1e-30)
    ahead = made = region.cycle(residual)
    slope = dot(residual, made)
    for _ in range(most):
        if bool((dot(residual, residual) <= goal).all()):
            break
        bent = region.apply(ahead)
        size = slope / dot(ahead, bent).clamp_min(1e-30)
        values, residual = values + size * ahead, residual - size * bent
        made = region.cycle(residual)
        slope, before = dot(residual, made), slope
        ahead = made + slope / before.clamp_min(1e-30) * ahead
    return values
