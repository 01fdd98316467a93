"""Distance between the edges of a region that is edited and those of a source."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.losses.base import AbstractLoss
from zstar.losses.boundary import region
from zstar.losses.fields import GUIDES, Guide, field, guided, touching


class Gradient(AbstractLoss):
    """Mean squared difference between the gradient of G(v) and a guiding field, over all pairs of neighbours of which
    one is in the mask: a region has the source's edges, in whatever colours.

    With ``boundary`` it is gradient-domain editing as one equation (Pérez et al. 2003,
    https://doi.org/10.1145/882262.882269), ``optimizer=conjugate_gradient`` with ``generator=pixels``; it does as well
    for any generator, and without a mask for the edges of a whole picture.

    Arguments:
        guide: The field: the source's gradient (``import``), the mean of both (``average``), or the steeper of both
            (``mixed``), through which the background's textures show.
        weight: λ, the factor of this loss in the objective.
        target: The source.
        background: The other picture of ``average`` and ``mixed``.
        mask: Where the source goes, above 0.5.
    """

    quadratic = True
    region = True

    def __init__(
        self,
        guide: Guide = "import",
        weight: float = 1.0,
        target: str = "source",
        background: str = "image",
        mask: str | None = "mask",
    ) -> None:
        super().__init__(weight, target, mask)
        if guide not in GUIDES:
            raise ValueError(f"loss.gradient.guide: there is no '{guide}'; choose one of {', '.join(GUIDES)}")
        self.guide, self.background = guide, background

    @property
    def pictures(self) -> dict[str, str]:
        return super().pictures | ({} if self.guide == "import" else {"background": self.background})

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        return list(field(image))

    def target_features(self, pictures: Float[Tensor, "b k h w"]) -> list[Tensor]:
        """The guiding field."""
        if self.guide == "import":
            return self.look(pictures)
        source, background = pictures.chunk(2, dim=1)
        return list(guided(field(source), field(background), self.guide))

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        squares = [(a - b).square().mean(dim=1, keepdim=True) for a, b in zip(features, target, strict=True)]
        if weights is None:
            return torch.cat([each.flatten(1) for each in squares], dim=1).mean(dim=1)
        (height, _), (_, width) = (each.shape[-2:] for each in squares)
        pairs = touching(region(weights, squares[0].new_empty(len(weights), 1, height, width)))
        total = sum((each * pair).sum(dim=(1, 2, 3)) for each, pair in zip(squares, pairs, strict=True))
        return total / sum(pair.sum(dim=(1, 2, 3)) for pair in pairs).clamp_min(1e-12)
