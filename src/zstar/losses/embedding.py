"""Distance between the embeddings of whole images."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.losses.base import AbstractLoss
from zstar.losses.networks import as_rgb, unit_length


class Embedding(AbstractLoss):
    """1 − ⟨R(a), R(b)⟩, the cosine distance of the vectors that a network R gives two images; 0 to 2.

    With R that recognises faces it is pSp's identity loss (Richardson et al. 2021, https://arxiv.org/abs/2008.00951),
    with R of MoCo v2 the similarity loss that e4e uses outside of faces (Tov et al. 2021,
    https://arxiv.org/abs/2102.02766). The choice where *who or what* is shown must survive; it knows nothing of where
    things are, so put a pixel or perceptual loss beside it. What R was trained for should not also judge the result.

    A vector has no places: a mask can't be followed here and is refused, not ignored; ``mask=null`` compares the whole.

    Arguments:
        network: R, a module that takes images ``[b, 3, h, w]`` in [−1, 1] and returns ``[b, d]``. It is frozen here.
        size: Height and width in pixels that images are brought to for R (bilinear, without aliasing); as they are if
            not given.
        crop: Top, bottom, left and right edge of the part that R sees, as fractions of the height and the width; the
            whole image if not given. Networks for faces were trained on tightly cut, aligned faces.
        weight: λ, the factor of this loss in the objective.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
    """

    def __init__(
        self,
        network: nn.Module,
        size: Sequence[int] | None = None,
        crop: Sequence[float] | None = None,
        weight: float = 1.0,
        target: str = "image",
        mask: str | None = "mask",
    ) -> None:
        super().__init__(weight, target, mask)
        self.network = network.float().eval().requires_grad_(False)
        self.size = None if size is None else list(size)
        self.crop = None if crop is None else list(crop)
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"loss.*.size: {self.size} is no height and width in pixels; set it to e.g. [112, 96]")
        if self.crop is not None and not _is_part(self.crop):
            raise ValueError(
                f"loss.*.crop: {self.crop} is no part of an image; give its top, bottom, left and right edge as "
                "fractions from 0 to 1, e.g. [0.1, 0.9, 0.1, 0.9]"
            )

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """One vector of length 1 per image."""
        image = as_rgb(image)
        if self.crop is not None:
            rows, columns = _span(*self.crop[:2], image.shape[2]), _span(*self.crop[2:], image.shape[3])
            image = image[:, :, rows, columns]
        if self.size is not None and list(image.shape[-2:]) != self.size:
            image = F.interpolate(image, size=self.size, mode="bilinear", align_corners=False, antialias=True)
        vectors = self.network(image)
        if not isinstance(vectors, Tensor) or vectors.dim() != 2:
            shape = list(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
            kind = type(self.network).__name__
            raise ValueError(
                f"loss.*.network: {kind} gives {shape}, not one vector per image; choose loss=[perceptual]"
            )
        return [unit_length(vectors[:, :, None, None])[:, :, 0, 0]]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        if weights is not None:
            raise ValueError(
                f"loss: an embedding by {type(self.network).__name__} is of a whole image and can't follow a mask; "
                "remove this loss, or give it mask=null"
            )
        # ‖a − b‖²/2 is 1 − ⟨a, b⟩ for unit vectors, and does not lose its digits near 0.
        vectors, goal = torch.broadcast_tensors(features[0], target[0])
        return (vectors - goal).square().sum(dim=1) / 2


def _is_part(crop: list[float]) -> bool:
    return len(crop) == 4 and all(0 <= first < last <= 1 for first, last in (crop[:2], crop[2:]))


def _span(first: float, last: float, length: int) -> slice:
    """Whole pixels between two fractions of a length, at least one."""
    start = min(round(first * length), length - 1)
    return slice(start, max(round(last * length), start + 1))
