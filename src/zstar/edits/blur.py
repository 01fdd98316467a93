"""Blur."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.edits.paint import AbstractPaint

SHARP = 0.05  # pixels; a narrower Gaussian reaches no second pixel


class Blur(AbstractPaint):
    """Gaussian blur: α is the standard deviation in pixels, 0 or more.

    At the sides the part of the Gaussian that lies within the picture counts for all of it. Two blurs make the one
    whose α² is the sum of theirs: σ is what is seen to grow evenly, the variance is what adds up.

    Arguments:
        low, high: The range of α; ``low`` is 0.

    Errors: ``ValueError`` for a negative α: nothing sharpens what was never blurred.
    """

    unit = "pixels"
    limits = (0.0, math.inf)

    def __init__(self, low: float = 0.0, high: float = 3.0) -> None:
        super().__init__(low, high)

    def paint(self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b c h w"]:
        if (alpha < 0).any():
            raise ValueError(f"edit.blur: α = {alpha.min().item():g} pixels is no width of a blur; give 0 or more")
        sigma = alpha.view(-1, 1, 1).clamp(min=SHARP)
        rows, columns = (_gaussian(size, sigma) for size in images.shape[-2:])
        return torch.einsum("byi,bcij,bxj->bcyx", rows, images, columns)


def _gaussian(size: int, sigma: Float[Tensor, "b 1 1"]) -> Float[Tensor, "b n n"]:
    """What each of ``size`` pixels in a line takes from each other one; exact for every σ, with no kernel to cut."""
    place = torch.arange(size, device=sigma.device, dtype=sigma.dtype)
    weights = torch.exp(-(place[:, None] - place).square() / (2 * sigma.square()))
    return weights / weights.sum(dim=2, keepdim=True)
