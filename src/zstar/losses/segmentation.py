"""Distance between what a segmenter sees in images."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import Within, require
from zstar.losses.base import AbstractLoss, spatial_mean
from zstar.segmenters.base import AbstractSegmenter


class Segmentation(AbstractLoss):
    """Mean over pixels of the relative entropy (nats) of the classes that a segmenter sees in G(v) and in the target.

    The choice where things are to stay what and where they are, whatever they look like. With ``wanted`` nothing is
    compared with the target: it is the cross-entropy −log p of that class, in each pixel that the mask counts, or with
    ``absent`` −log(1 − p): the brush of a painter. Alone that is no criterion, as there are pictures that every
    segmenter takes for a tree and no eye does: start near what the generator makes of one, and keep near to it.

    Arguments:
        segmenter: Who says what is where. It is frozen.
        wanted: Name of the class that is to be seen; null for those of the target.
        absent: Whether ``wanted`` is not to be seen instead.
        enough: Probability of what is wanted from which a pixel costs nothing: whoever goes on beyond it finds what
            the segmenter likes, and no better things.
        weight: λ, the factor of this loss in the objective.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.

    Raises:
        ValueError: The segmenter knows no such class, or there is none that could be absent.
    """

    looks_around = True

    def __init__(
        self,
        segmenter: AbstractSegmenter,
        wanted: str | None = None,
        absent: bool = False,
        enough: float = 1.0,
        weight: float = 1.0,
        target: str = "image",
        mask: str | None = "mask",
    ) -> None:
        super().__init__(weight, target, mask)
        if absent and wanted is None:
            raise ValueError("loss.segmentation.absent: nothing is named that is to be absent; set wanted to a class")
        self.segmenter = segmenter.eval().requires_grad_(False)
        self.column = None if wanted is None else segmenter.column(wanted, "loss.segmentation.wanted")
        require("loss.segmentation", Within(0, 1, above=True), enough=enough)
        self.absent, self.least = absent, -math.log(enough)

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        return [self.segmenter.logits(image)]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        seen = F.log_softmax(features[0], dim=1)
        if self.column is None:
            goal = F.log_softmax(target[0], dim=1)
            return spatial_mean((goal.exp() * (goal - seen)).sum(dim=1, keepdim=True), weights)
        own = slice(self.column, self.column + 1)
        if not self.absent:
            return spatial_mean((-seen[:, own] - self.least).relu(), weights)
        others = torch.cat([seen[:, : self.column], seen[:, self.column + 1 :]], dim=1)
        return spatial_mean((-others.logsumexp(dim=1, keepdim=True) - self.least).relu(), weights)
