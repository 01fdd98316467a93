"""Distance between the features of any network."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.losses.base import AbstractLoss, spatial_mean
from zstar.losses.maps import FeatureMaps
from zstar.losses.networks import unit_length


class Perceptual(AbstractLoss):
    """Squared distance between feature maps of a given network, with the channels of each pixel scaled to length 1.

    It is LPIPS without learned heads (the "baseline" of Zhang et al. 2018, https://arxiv.org/abs/1801.03924): per
    layer the mean over space of the squared length of the difference, then the mean over layers; 0 for equal images,
    at most 4 (2 where activations are ≥ 0). The choice where LPIPS's ImageNet backbone can't be had, or where a
    network that knows the images' domain is at hand: the shipped annotator of cottages, a VGG from a file, a
    discriminator.

    Arguments:
        network, layers, size: As for :class:`zstar.losses.maps.FeatureMaps`.
        weight: λ, the factor of this loss in the objective.
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
    ) -> None:
        super().__init__(weight, target, mask)
        self.maps = FeatureMaps(network, layers, size, "loss.perceptual")

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        return [unit_length(activation) for activation in self.maps(image)]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        distances = [
            spatial_mean((a - b).square().sum(dim=1, keepdim=True), weights)
            for a, b in zip(features, target, strict=True)
        ]
        return torch.stack(distances).mean(dim=0)
