"""Distance between orientations of edges."""

from jaxtyping import Float
from torch import Tensor

from zstar.losses.base import AbstractLoss, spatial_mean
from zstar.losses.hog import hog, require_cells, require_hog


class Sketch(AbstractLoss):
    """Squared distance between histograms of oriented gradients, of the picture and of drawn edges, where there are
    such: iGAN's sketch brush (Zhu et al. 2016, https://arxiv.org/abs/1609.03552).

    The value is a mean over the cells that the strokes run through, each with the share of it that they cover, so that
    it does not depend on how much is drawn: 0 where the edges run as drawn, about 1 where the picture has none, at most
    2. Only orientations count: a line may be either side's, and a light line on a dark ground is as good as a dark one.
    iGAN gives it the weight 0.2 beside the colour brush's 1.

    Arguments:
        cell, bins, contrast: As for :func:`zstar.losses.hog.hog`. Edges may lie anywhere within a cell: smaller cells
            hold them more closely in place, and attract from less far.
        weight: λ, the factor of this loss in the objective.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
    """

    def __init__(
        self,
        cell: int = 8,
        bins: int = 8,
        contrast: float = 0.02,
        weight: float = 0.2,
        target: str = "sketch",
        mask: str | None = "sketch_mask",
    ) -> None:
        super().__init__(weight, target, mask)
        require_hog("loss.sketch", cell, bins, contrast)
        self.cell, self.bins, self.contrast = cell, bins, contrast

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        require_cells("loss.sketch", image, self.cell)
        return [hog(image, self.cell, self.bins, self.contrast)]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        return spatial_mean((features[0] - target[0]).square().sum(dim=1, keepdim=True), weights)
