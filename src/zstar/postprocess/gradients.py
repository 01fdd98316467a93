"""Gradient-domain editing: pictures that have the colours of one and the edges of another."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.losses.fields import Guide, divergence, field, guided
from zstar.postprocess.multigrid import COARSEST, Region, neighbours, solve


def clone(
    background: Float[Tensor, "b c h w"],
    source: Float[Tensor, "b c h w"],
    mask: Float[Tensor, "b 1 h w"],
    guide: Guide = "import",
    tolerance: float = 1e-6,
    most: int = 200,
) -> Float[Tensor, "b c h w"]:
    """The background with the source's edges where the mask is: min ∫ |∇f − g|² with f = background all around.

    Poisson image editing (Pérez et al. 2003, https://doi.org/10.1145/882262.882269), solved exactly: conjugate
    gradients with multigrid, all images and colours at once. Pixels outside of the mask stay, bit for bit, and none is
    clamped. Where the mask meets the border of the picture nothing is asked of what lies beyond; a mask that leaves no
    pixel at all has the edges of the source and the mean colour of the background.

    Arguments:
        background, source: Pictures of one size, of any range.
        mask: Where the source goes, above 0.5.
        guide: g: the source's gradient (``import``), the mean of both (``average``), or the steeper of both, pixel by
            pixel and colour by colour (``mixed``), through which the background's textures show.
        tolerance: What may be left of the equation, relatively.
        most: Iterations at the most.
    """
    size = background.shape[-2:]
    halvings = max(0, (max(size) // COARSEST).bit_length() - 1)
    block = 2**halvings
    padding = [0, -size[1] % block, 0, -size[0] % block]
    real = F.pad(torch.ones_like(background[:1, :1]), padding) > 0
    below, above, where = (F.pad(one, padding) for one in (background, source, mask))
    unknown = where > 0.5
    region = Region.of(unknown, real, below)
    known = real & ~unknown
    there = real[..., 1:] & real[..., :-1], real[..., 1:, :] & real[..., :-1, :]
    across, down = (one * pair for one, pair in zip(guided(field(above), field(below), guide), there, strict=True))
    right = (divergence((across, down)) + neighbours(below * known)) * region.inside
    found = solve(region, right, above * region.inside, tolerance, most)
    alone = ~known.flatten(1).any(dim=1).view(-1, 1, 1, 1)  # nothing says which colours: any constant fits
    shift = background.mean(dim=(2, 3), keepdim=True) - found[..., : size[0], : size[1]].mean(dim=(2, 3), keepdim=True)
    found = torch.where(alone, found + shift, found)
    return torch.where(mask > 0.5, found[..., : size[0], : size[1]], background)
