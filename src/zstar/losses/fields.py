"""Gradient fields of pictures: the differences between neighbouring pixels, and fields of them to be followed."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Guide = Literal["import", "average", "mixed"]
GUIDES = ("import", "average", "mixed")
TIE = 1e-5  # by which slopes of pictures of 8 or 16 bits differ by rounding alone
Field = tuple[Tensor, Tensor]
"""Differences of each pixel to the one on its left ``[b, c, h, w−1]`` and to the one above ``[b, c, h−1, w]``."""


def field(image: Float[Tensor, "b c h w"]) -> Field:
    """The gradient of an image, by differences between neighbours; nothing is assumed beyond its border."""
    return image.diff(dim=3), image.diff(dim=2)


def guided(source: Field, background: Field, guide: Guide) -> Field:
    """The field that an edited region is to follow (Pérez et al. 2003, https://doi.org/10.1145/882262.882269).

    Arguments:
        source, background: Gradients of two pictures of one size.
        guide: ``import``, the source's; ``average``, the mean of both; ``mixed``, the steeper of both, pixel by pixel
            and colour by colour, the source's where they are equally steep.
    """
    if guide == "average":
        across, down = ((new + old) / 2 for new, old in zip(source, background, strict=True))
        return across, down
    if guide == "mixed":
        pairs = zip(source, background, strict=True)
        across, down = (torch.where(old.abs() - new.abs() > TIE, old, new) for new, old in pairs)
        return across, down
    return source


def touching(inside: Float[Tensor, "b 1 h w"]) -> Field:
    """1 for the pairs of neighbours of which at least one is ``inside``, a map of 0 and 1; 0 for all others."""
    return inside[..., 1:].maximum(inside[..., :-1]), inside[..., 1:, :].maximum(inside[..., :-1, :])


def divergence(flow: Field) -> Float[Tensor, "b c h w"]:
    """Sum over the neighbours of each pixel of the difference to them: −div, the transpose of :func:`field`."""
    across, down = flow
    return F.pad(across, [1, 0]) - F.pad(across, [0, 1]) + F.pad(down, [0, 0, 1, 0]) - F.pad(down, [0, 0, 0, 1])
