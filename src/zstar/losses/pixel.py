"""Distance between colours."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.losses.base import AbstractLoss, spatial_mean

DISTANCES = {"l1": F.l1_loss, "l2": F.mse_loss, "huber": F.huber_loss}


class Pixel(AbstractLoss):
    """Mean over pixels and channels of the distance between colours, in units of images in [−1, 1].

    The choice for pictures that must match exactly, and the cheapest. Alone it blurs what it can't reproduce; next to a
    perceptual loss it holds the colours in place.

    Arguments:
        kind: ``l2`` (squared, so 4·MSE of images in [0, 1]), ``l1`` (absolute), or ``huber``
            (e²/2 up to |e| = ``delta``, then ``delta``·(|e| − ``delta``/2): outliers pull with limited force).
        weight: λ, the factor of this loss in the objective.
        delta: Where ``huber`` turns from squared to absolute, in units of [−1, 1]; 0.1 if not given. The other kinds
            have no such point, and giving it to them is an error.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
    """

    def __init__(
        self,
        kind: Literal["l1", "l2", "huber"] = "l2",
        weight: float = 1.0,
        delta: float | None = None,
        target: str = "image",
        mask: str | None = "mask",
    ) -> None:
        super().__init__(weight, target, mask)
        if kind not in DISTANCES:
            raise ValueError(f"loss.pixel.kind: there is no kind '{kind}'; choose one of {', '.join(DISTANCES)}")
        if delta is not None and kind != "huber":
            raise ValueError(f"loss.pixel.delta: {delta} is for kind=huber, not {kind}; remove it or set kind=huber")
        if delta is not None and delta <= 0:
            raise ValueError(f"loss.pixel.delta: {delta} must be above 0; 0.1 is a good start")
        self.kind, self.quadratic = kind, kind == "l2"
        self.options = {"delta": 0.1 if delta is None else delta} if kind == "huber" else {}

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        return [image]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        image, goal = torch.broadcast_tensors(features[0], target[0])
        return spatial_mean(DISTANCES[self.kind](image, goal, reduction="none", **self.options), weights)
