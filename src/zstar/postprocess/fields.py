"""Smooth fields: values at each pixel that fit what is seen there, and change little from pixel to pixel."""

import torch
from jaxtyping import Float
from torch import Tensor

STEPS = 16  # of conjugate gradients, from a start that a coarser grid or the last linearisation has given


def solve(
    matrix: Float[Tensor, "b k k h w"],
    right: Float[Tensor, "b k h w"],
    smoothness: float,
    start: Float[Tensor, "b k h w"],
    edges: tuple[Tensor, Tensor] | None = None,
    steps: int = STEPS,
) -> Float[Tensor, "b k h w"]:
    """argmin_f Σ_pixels fᵀMf − 2rᵀf + σ‖∇f‖², for each image and its k values at once.

    Conjugate gradients on (M − σ∇²)f = r, preconditioned by the blocks of each pixel; nothing is asked of what lies
    beyond the picture. A start that solves it is returned bit for bit.

    Arguments:
        matrix: M, symmetric and positive semi-definite.
        right: r.
        smoothness: σ.
        start: f at first.
        edges: How much a difference between neighbours counts, down ``[b, 1, h − 1, w]`` and across
            ``[b, 1, h, w − 1]``; 1 if not given.
        steps: Iterations; none of them waits for another device.
    """
    degree = _differences(torch.ones_like(right[:, :1]), edges, count=True)
    blocks = _invert(matrix, smoothness * degree)

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(dim=(1, 2, 3), keepdim=True)

    def apply(values: Tensor) -> Tensor:
        return (matrix * values[:, None]).sum(dim=2) + smoothness * _differences(values, edges)

    found, residual = start, right - apply(start)
    ahead = made = (blocks * residual[:, None]).sum(dim=2)
    slope = dot(residual, made)
    for _ in range(steps):
        bent = apply(ahead)
        size = slope / dot(ahead, bent).clamp_min(1e-30)
        found, residual = found + size * ahead, residual - size * bent
        made = (blocks * residual[:, None]).sum(dim=2)
        slope, before = dot(residual, made), slope
        ahead = made + slope / before.clamp_min(1e-30) * ahead
    return found


def edge_weights(picture: Float[Tensor, "b c h w"], step: float) -> tuple[Tensor, Tensor]:
    """How much a difference between neighbours of a field is to count, 1 where a picture is flat and 1/2 where its
    colours, over all channels, differ by ``step``; down and across, as :func:`solve` takes them."""
    slopes = (picture.diff(dim=dim).square().sum(dim=1, keepdim=True) for dim in (-2, -1))
    down, across = (1 / (1 + slope / step**2) for slope in slopes)
    return down, across


def _differences(
    values: Float[Tensor, "b k h w"], edges: tuple[Tensor, Tensor] | None = None, count: bool = False
) -> Float[Tensor, "b k h w"]:
    """−∇²: each pixel's differences to its neighbours within the picture, summed; or only how much they count."""
    total = torch.zeros_like(values)
    for dim, weights in zip((-2, -1), edges or (None, None), strict=True):
        size = values.shape[dim] - 1
        here, there = values.narrow(dim, 0, size), values.narrow(dim, 1, size)
        step = torch.ones_like(here) if count else here - there
        step = step if weights is None else step * weights
        total.narrow(dim, 0, size).add_(step)
        total.narrow(dim, 1, size).add_(step if count else -step)
    return total


def _invert(matrix: Float[Tensor, "b 2 2 h w"], diagonal: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 2 2 h w"]:
    """The inverses of the blocks of two values, with so much added to their diagonals."""
    a, b, d = matrix[:, 0, 0] + diagonal[:, 0], matrix[:, 0, 1], matrix[:, 1, 1] + diagonal[:, 0]
    scale = 1 / (a * d - b * b).clamp_min(1e-12)
    return torch.stack([torch.stack([d, -b], dim=1), torch.stack([-b, a], dim=1)], dim=1) * scale[:, None, None]
