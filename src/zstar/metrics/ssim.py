"""Structural similarity."""

from jaxtyping import Float
from torch import Tensor

from zstar.images import to_unit
from zstar.metrics.base import AbstractMetric

WINDOW = 11


class SSIM(AbstractMetric):
    """SSIM (Wang et al. 2004, https://ece.uwaterloo.ca/~z70wang/publications/ssim.pdf), at most 1.

    Compares local means, contrasts and structure instead of pixels, and so is milder on slight changes of brightness
    and harder on blur than PSNR. Gaussian window of 11 pixels (σ = 1.5) inside the image only, data range 1, clamped to
    the displayable range, every colour channel for itself and then the mean. ``None`` where a side is below 11 pixels.
    """

    better = "higher"
    needs = "images of 11 pixels or more"

    def __call__(self, image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"] | None:
        if min(image.shape[-2:]) < WINDOW:
            return None
        from torchmetrics.functional.image import structural_similarity_index_measure  # takes seconds to import

        shown, wanted = to_unit(image).clamp(0, 1), to_unit(target).clamp(0, 1)
        _, local = structural_similarity_index_measure(
            shown, wanted, data_range=1.0, reduction="none", return_full_image=True
        )
        # torchmetrics' own mean includes windows that hang over the border into mirrored pixels; the published one not.
        border = WINDOW // 2
        return local[..., border:-border, border:-border].mean(dim=(1, 2, 3))
