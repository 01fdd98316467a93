"""Distance to the background around a region that is edited."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import Within, require
from zstar.losses.base import AbstractLoss, spatial_mean


class Boundary(AbstractLoss):
    """Mean squared difference of colours to the background, outside of the mask: what holds an edited region in place.

    With ``gradient`` it is gradient-domain editing as one equation (Pérez et al. 2003,
    https://doi.org/10.1145/882262.882269): the larger its weight, the nearer is the solution to that with a hard
    boundary, which ``projector=[poisson]`` finds.

    The mask says the opposite of what it says to other losses: where it is white, above 0.5, the region is edited and
    no pixel counts. Without a mask all pixels are background.

    Arguments:
        width: Pixels that count around the region: 1 are those beside it, to its four sides. ``None`` for all outside.
        weight: λ, the factor of this loss in the objective.
        target: The background.
        mask: The region that is edited.
    """

    quadratic = True
    region = True

    def __init__(
        self, width: int | None = 1, weight: float = 1.0, target: str = "image", mask: str | None = "mask"
    ) -> None:
        super().__init__(weight, target, mask)
        require("loss.boundary", Within(1), width=1 if width is None else width)
        self.width = width

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        return [image]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        squares = (features[0] - target[0]).square()
        return spatial_mean(squares, None if weights is None else self._around(region(weights, squares)))

    def _around(self, inside: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """1 for the pixels that count."""
        if self.width is None:
            return 1 - inside
        wider = inside
        for _ in range(self.width):
            across = F.max_pool2d(wider, (1, 3), 1, (0, 1))
            wider = across.maximum(F.max_pool2d(wider, (3, 1), 1, (1, 0)))
        return wider - inside


def region(weights: Float[Tensor, "b 1 hw ww"], like: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """A weight map as a region at the size of ``like``: 1 where it is above 0.5, else 0."""
    if weights.shape[-2:] != like.shape[-2:]:
        weights = F.interpolate(weights, size=like.shape[-2:], mode="area")
    return (weights > 0.5).to(like)
