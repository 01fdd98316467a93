"""Distance between what a discriminator sees."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import FilePath
from zstar.discriminators.base import AbstractDiscriminator
from zstar.discriminators.saved import load_judge
from zstar.losses.base import AbstractLoss, spatial_mean
from zstar.losses.maps import FeatureMaps


class Discriminator(AbstractLoss):
    """Mean absolute difference between a discriminator's feature maps: feature matching (Larsen et al. 2016,
    https://arxiv.org/abs/1512.09300; Wang et al. 2018, https://arxiv.org/abs/1711.11585).

    Per layer the mean over channels and space, then the mean over layers. A discriminator has learned what tells the
    images of its data from those of a generator, which needs neither labels nor another data set: the perceptual loss
    for images that no network of others knows. DGP projects with it (Pan et al. 2020, https://arxiv.org/abs/2003.13659).

    Arguments:
        discriminator: D, as it was trained.
        checkpoint: Its weights: ``discriminator.safetensors``, which ``train.py task=generator`` exports.
        layers: Names of its submodules whose outputs are compared; all of its maps if not given.
        weight: λ, the factor of this loss in the objective.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
        size: As for :class:`zstar.losses.maps.FeatureMaps`.
    """

    looks_around = True

    def __init__(
        self,
        discriminator: AbstractDiscriminator,
        checkpoint: FilePath | None = None,
        layers: Sequence[str] | None = None,
        weight: float = 1.0,
        target: str = "image",
        mask: str | None = "mask",
        size: int | None = None,
    ) -> None:
        super().__init__(weight, target, mask)
        judge = load_judge(discriminator, checkpoint, "loss.discriminator")
        self.maps = FeatureMaps(judge, judge.layers if layers is None else layers, size, "loss.discriminator")

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        return self.maps(image)

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        distances = [spatial_mean((a - b).abs(), weights) for a, b in zip(features, target, strict=True)]
        return torch.stack(distances).mean(dim=0)
