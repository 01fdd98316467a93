"""Blur."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.edits.paint import AbstractPaint


class Blur(AbstractPaint):
    """Gaussian blur: α is the standard deviation in pixels, 0 or more.

    It is the one of the pixel grid (Lindeberg 1990, https://doi.org/10.1109/34.49051): heat that spreads for a time of
    α² and is reflected at the sides. So the variance is α² for narrow ones too, brightness stays, and two blurs make
    exactly the one whose α² is the sum of theirs: σ is what is seen to grow evenly, the variance is what adds up.

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
        rows, columns = (_spread(size, alpha.view(-1, 1, 1)) for size in images.shape[-2:])
        return torch.einsum("byi,bcij,bxj->bcyx", rows, images, columns)


def _spread(size: int, sigma: Float[Tensor, "b 1 1"]) -> Float[Tensor, "b n n"]:
    """Weights of each of ``size`` pixels in a line for each other one, by the cosine waves that keep their shape."""
    place = torch.arange(size, device=sigma.device, dtype=sigma.dtype)
    angle = torch.pi / size * place[:, None]  # of wave k from pixel to pixel
    waves = torch.cos(angle * (place + 0.5)) * (2 / size) ** 0.5
    waves[0] /= 2**0.5
    fade = torch.exp(-sigma.square() * (1 - angle.cos()))
    return waves.T @ (fade * waves)
