"""Multi-scale structural similarity."""

from jaxtyping import Float
from torch import Tensor

from zstar.images import to_unit
from zstar.metrics.base import AbstractMetric

SMALLEST = 176


class MSSSIM(AbstractMetric):
    """MS-SSIM (Wang et al. 2003, https://ece.uwaterloo.ca/~z70wang/publications/msssim.pdf), 0 to 1.

    SSIM's contrast and structure at five scales, each half the size of the one before, with the published exponents:
    the usual number for photos. Window, range and channels as for :class:`zstar.metrics.ssim.SSIM`; negative terms
    count as zero. ``None`` where a side is below 176 pixels, which five scales of an 11-pixel window need: with fewer
    scales it would be another number under the same name. As torchmetrics computes it, the coarsest scale also takes
    windows that hang over the border into mirrored pixels, which moves the value by about 10⁻⁴.
    """

    better = "higher"
    needs = f"images of {SMALLEST} pixels or more"

    def __call__(self, image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"] | None:
        if min(image.shape[-2:]) < SMALLEST:
            return None
        from torchmetrics.functional.image import multiscale_structural_similarity_index_measure  # takes seconds

        shown, wanted = to_unit(image).clamp(0, 1), to_unit(target).clamp(0, 1)
        return multiscale_structural_similarity_index_measure(shown, wanted, data_range=1.0, reduction="none")
