"""Crops back into the photos that they were cut out of."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.data.alignment import Corners, bounds
from zstar.postprocess.gradients import clone

Seam = Literal["feather", "poisson"]
FEATHER = 0.1  # of the crop's side: the border over which a change fades


def paste_back(
    photo: Float[Tensor, "c H W"],
    crop: Float[Tensor, "c n n"],
    edited: Float[Tensor, "c n n"],
    corners: Corners,
    seam: Seam = "feather",
) -> Float[Tensor, "c H W"]:
    """The photo with what was changed in a crop of it, in [−1, 1], bit for bit itself where nothing was.

    The change is turned back as the crop was turned, and added; so the photo keeps its own pixels below it, whatever
    its resolution. A crop that is replaced altogether, such as by its reconstruction, is a change like any other.

    Arguments:
        photo: The whole photo.
        crop: What :func:`zstar.data.alignment.cut_out` has made of it, at any resolution.
        edited: The same after the edit.
        corners: Of the crop, in the photo.
        seam: ``feather`` fades the change towards the crop's border; ``poisson`` keeps its edges, and lets the colours
            of the photo around the crop flow in (exact, see :mod:`zstar.postprocess.gradients`).
    """
    low, high = bounds(corners, (photo.shape[1], photo.shape[2]))
    if (high <= low).any():
        return photo
    places = crop_coordinates(corners, low, high).to(photo)
    part = photo[None, :, low[1] : high[1], low[0] : high[0]]
    change = F.grid_sample((edited - crop)[None], places[None], "bilinear", "border", align_corners=False)
    inside = 1 - places.abs().amax(dim=2)[None, None]  # 0 at the crop's border, negative outside
    if seam == "feather":
        fade = (inside / (2 * FEATHER)).clamp(0, 1)
        made = part + change * fade * fade * (3 - 2 * fade)
    else:
        made = clone(part, part + change, (inside > 0).to(part), "import")
    made = torch.where((inside > 0) & (change != 0).any(dim=1, keepdim=True), made.clamp(-1, 1), part)
    whole = photo.clone()
    whole[:, low[1] : high[1], low[0] : high[0]] = made[0]
    return whole


def crop_coordinates(corners: Corners, low: np.ndarray, high: np.ndarray) -> Float[Tensor, "h w 2"]:
    """Where the pixels of a part of a photo lie in a crop, as ``grid_sample`` counts: ±1 at the crop's border."""
    across, down = corners[3] - corners[0], corners[1] - corners[0]
    inverse = np.linalg.inv(np.stack([across, down], axis=1))
    x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    offset = np.stack([x, y], axis=2) - corners[0]
    return torch.from_numpy(offset @ inverse.T * 2 - 1)
