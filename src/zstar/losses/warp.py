"""Distance from a picture of which parts were dragged elsewhere."""

from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import Within, require
from zstar.losses.base import AbstractLoss, spatial_mean
from zstar.losses.hog import hog, require_cells, require_hog


class Warp(AbstractLoss):
    """Colours and edges of dragged patches at their new places: iGAN's warping brush (Zhu et al. 2016,
    https://arxiv.org/abs/1609.03552).

    Where a patch comes to lie, the picture is to have its colours and the orientations of its edges: the mean squared
    difference of the colours, in units of images in [−1, 1], and ``edges`` times that of the histograms of
    :func:`zstar.losses.hog.hog`, both over the area of the patch, however large it is. What becomes of the place that
    it left is the generator's affair.

    Arguments:
        edges: Weight of the edges beside the colours; 0.2 is iGAN's, 0 leaves them out.
        cell, bins, contrast: As for :func:`zstar.losses.hog.hog`.
        weight: λ, the factor of this loss in the objective.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
    """

    def __init__(
        self,
        edges: float = 0.2,
        cell: int = 8,
        bins: int = 8,
        contrast: float = 0.02,
        weight: float = 1.0,
        target: str = "warp",
        mask: str | None = "warp_mask",
    ) -> None:
        super().__init__(weight, target, mask)
        require("loss.warp", Within(0), edges=edges)
        require_hog("loss.warp", cell, bins, contrast)
        self.edges, self.cell, self.bins, self.contrast = edges, cell, bins, contrast

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """The colours, and the histograms where they count."""
        if not self.edges:
            return [image]
        require_cells("loss.warp", image, self.cell)
        return [image, hog(image, self.cell, self.bins, self.contrast)]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        colours = spatial_mean((features[0] - target[0]).square(), weights)
        if not self.edges:
            return colours
        edges = (features[1] - target[1]).square().sum(dim=1, keepdim=True)
        return colours + self.edges * spatial_mean(edges, weights)
