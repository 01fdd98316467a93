"""Distance between what a network sees where, with its strength."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.losses.base import AbstractLoss, spatial_mean
from zstar.losses.maps import FeatureMaps


class Content(AbstractLoss):
    """Mean squared difference between feature maps as they are: the content loss of style transfer.

    Per layer the mean over channels and space, then the mean over layers (Gatys et al. 2016,
    https://doi.org/10.1109/CVPR.2016.265, who take half the sum over one deep layer). Unlike ``perceptual`` it counts
    how strong a feature is, so it keeps contrast as well as shapes.

    Arguments:
        network, layers, size: As for :class:`zstar.losses.maps.FeatureMaps`.
        weight: λ, the factor of this loss in the objective.
        relative: Whether each layer is divided by the mean square of the target's features, so that a picture without
            features has the value 1 whatever the network: weights that are found with one network do for another.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
    """

    looks_around = True

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[int] | Sequence[str] | None = None,
        weight: float = 1.0,
        target: str = "image",
        mask: str | None = "mask",
        size: int | None = None,
        relative: bool = False,
    ) -> None:
        super().__init__(weight, target, mask)
        self.maps = FeatureMaps(network, layers, size, "loss.content")
        self.relative = relative

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        return self.maps(image)

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        distances = [spatial_mean((a - b).square(), weights) for a, b in zip(features, target, strict=True)]
        if self.relative:
            scales = [spatial_mean(b.square(), weights).clamp_min(1e-12) for b in target]
            distances = [each / scale for each, scale in zip(distances, scales, strict=True)]
        return torch.stack(distances).mean(dim=0)
