"""How much of an edit is in a pair of images, found by trying."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.edits.base import AbstractEdit

BEYOND = 1.5  # times the range of the edit is searched


@torch.no_grad()
def achieved(
    edit: AbstractEdit,
    before: Float[Tensor, "b c h w"],
    after: Float[Tensor, "b c h w"],
    low: float | None = None,
    high: float | None = None,
    steps: int = 33,
) -> Float[Tensor, " b"]:
    """The α whose edit of ``before`` comes nearest to ``after``, for each pair of images.

    Nearest is the least squared distance, meaned over the pixels that the edit left valid. The best of a grid is
    refined by a parabola through its neighbours. For a pair that no α leads between it is the nearest try, and tells
    nothing: ask how much there is of an edit that was aimed at.

    Arguments:
        low, high: What to search; 1.5 times the range of the edit if not given, as far as its limits go.
        steps: Number of strengths to try, 3 or more, evenly over the search.
    """
    least, most = edit.limits
    low = max(least, BEYOND * edit.low) if low is None else low
    high = min(most, BEYOND * edit.high) if high is None else high
    grid = torch.linspace(low, high, steps, device=before.device)
    errors = torch.stack([_distance(edit, before, after, alpha.expand(len(before))) for alpha in grid], dim=1)
    best = errors.argmin(dim=1)
    inner = best.clamp(1, steps - 2)
    left, middle, right = (errors.gather(1, (inner + offset)[:, None])[:, 0] for offset in (-1, 0, 1))
    lean = (left - right) / (2 * (left - 2 * middle + right))
    lean = torch.where((best == inner) & lean.isfinite(), lean.clamp(-0.5, 0.5), torch.zeros_like(lean))
    return grid[best] + lean * (high - low) / (steps - 1)


def _distance(
    edit: AbstractEdit, before: Float[Tensor, "b c h w"], after: Float[Tensor, "b c h w"], alpha: Float[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """Mean squared distance between the edit of ``before`` and ``after``, infinite where nothing is left to compare."""
    tried, valid = edit(before, alpha)
    error = ((tried - after).square() * valid).sum(dim=(1, 2, 3))
    return (error / (valid.sum(dim=(1, 2, 3)) * before.shape[1])).nan_to_num(nan=math.inf)
