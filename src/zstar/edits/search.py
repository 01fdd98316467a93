"""Measurement of an edit's strength in a pair of images, by trying."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.edits.base import AbstractEdit

BEYOND = 1.5  # times the range of the edit is searched


@torch.no_grad()
def search(
    edit: AbstractEdit,
    before: Float[Tensor, "b c h w"],
    low: float | None = None,
    high: float | None = None,
    steps: int = 33,
) -> Callable[[Tensor], Tensor]:
    """A measure for images that may have come from ``before``: the α whose edit of ``before`` comes nearest to each.

    Nearest is the least squared distance, meaned over the pixels that the edit left valid. The best of a grid is
    refined by a parabola through its neighbours. For a pair that no α leads between it is the nearest try, and tells
    nothing: ask how much there is of an edit that was aimed at. The tries are kept for any number of images.

    Arguments:
        low, high: Range of the search; by default 1.5 times that of the edit, as far as its limits go.
        steps: Number of strengths to try, 3 or more, evenly over the search.
    """
    least, most = edit.limits
    low = max(least, BEYOND * edit.low) if low is None else low
    high = min(most, BEYOND * edit.high) if high is None else high
    grid = torch.linspace(low, high, steps, device=before.device)
    tries = [edit(before, alpha.expand(len(before))) for alpha in grid]

    @torch.no_grad()
    def measure(after: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        errors = torch.stack([_distance(tried, valid, after) for tried, valid in tries], dim=1)
        best = errors.argmin(dim=1)
        inner = best.clamp(1, steps - 2)
        left, middle, right = (errors.gather(1, (inner + offset)[:, None])[:, 0] for offset in (-1, 0, 1))
        lean = (left - right) / (2 * (left - 2 * middle + right))
        lean = torch.where((best == inner) & lean.isfinite(), lean.clamp(-0.5, 0.5), torch.zeros_like(lean))
        return grid[best] + lean * (high - low) / (steps - 1)

    return measure


def _distance(
    tried: Float[Tensor, "b c h w"], valid: Float[Tensor, "b 1 h w"], after: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Mean squared distance between a try and ``after``, infinite where nothing is left to compare."""
    error = ((tried - after).square() * valid).sum(dim=(1, 2, 3))
    return (error / (valid.sum(dim=(1, 2, 3)) * tried.shape[1])).nan_to_num(nan=torch.inf)
