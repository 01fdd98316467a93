"""The protocol of edits that move pixels by a homography, with the mask of what was in the picture."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.edits.base import AbstractEdit
from zstar.edits.search import search

SEEN = 0.999  # of a pixel's bilinear weight, what has to come from inside the picture


class AbstractWarp(AbstractEdit):
    """An edit that takes each pixel from another place, by bilinear interpolation.

    Places are in units of half the width and half the height, from (−1, −1) in the upper left corner to (1, 1) in the
    lower right one. What lies outside is grey (0), and a pixel that any of it touches is not valid.
    """

    def apply(
        self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
        from kornia.geometry.transform import homography_warp  # takes seconds to import

        height, width = images.shape[-2:]
        padded = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
        moved = homography_warp(padded, self.homography(alpha, width / height), (height, width), align_corners=False)
        return moved[:, :-1], (moved[:, -1:] > SEEN).to(images.dtype)

    def measure_strength(self, before: Float[Tensor, "b c h w"]) -> Callable[[Tensor], Tensor]:
        return search(self, before)

    @abstractmethod
    def homography(self, alpha: Float[Tensor, " b"], aspect: float) -> Float[Tensor, "b 3 3"]:
        """The map from places (x, y, 1) of the edited image to those of the image; ``aspect`` is width / height."""


def matrix(rows: Sequence[Sequence[float | Tensor]], alpha: Float[Tensor, " b"]) -> Float[Tensor, "b 3 3"]:
    """A matrix per image, from numbers and from functions of ``alpha``."""
    entries = [entry + torch.zeros_like(alpha) for row in rows for entry in row]
    return torch.stack(entries, dim=1).view(-1, 3, 3)
