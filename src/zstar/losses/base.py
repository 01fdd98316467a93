"""The protocol of losses L(image, target): one value per image."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.config.check import COMPANIONS, STROKES
from zstar.config.constraints import Within
from zstar.runs.precision import networks, single


class AbstractLoss(nn.Module, ABC):
    """A distance between images in [−1, 1], split so that the features of a fixed target are computed once.

    Arguments:
        weight: λ, the factor of this loss in the objective.
        target: Name of the target that G(v) is compared with: ``image``, or another one that the data have.
        mask: Name of the target that weighs the pixels, from 0 (does not count) to 1; ``mask`` counts where the data
            have it, and ``None`` weighs all pixels alike.

    Attributes:
        looks_around: Whether the features of a pixel depend on its neighbours, so that what is masked would reach them.
        quadratic: Whether it is a quadratic function of the image.
        region: Whether its mask says which region is edited, which is where it is above a half.
    """

    looks_around: ClassVar[bool] = False
    quadratic: bool = False
    region: bool = False

    def __init__(self, weight: float = 1.0, target: str = "image", mask: str | None = "mask") -> None:
        super().__init__()
        if weight not in Within(0):
            name = type(self).__name__
            raise ValueError(f"loss.*.weight: {weight} can't weigh {name}; set it to a finite number, 0 or more")
        self.weight, self.target, self.mask = weight, target, mask

    def train(self, mode: bool = True) -> "AbstractLoss":
        """Losses are measuring instruments: whatever ``mode`` says, their networks stay in ``eval()``."""
        return super().train(False)

    @abstractmethod
    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """The tensors that are compared, each with the batch as its first dimension (for a pixel loss, the image)."""

    @abstractmethod
    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        """Distance per image, unweighted by λ. ``weights`` ≥ 0 is a spatial weight map at any resolution."""

    def forward(
        self,
        image: Float[Tensor, "b c h w"],
        target: Float[Tensor, "b k h w"],
        weights: Float[Tensor, "b 1 h w"] | None = None,
    ) -> Float[Tensor, " b"]:
        """Distance per image between ``image`` and ``target``, unweighted by λ."""
        return self.compare(self.look(self.seen(image, target, weights)), self.target_features(target), weights)

    @property
    def pictures(self) -> dict[str, str]:
        """Argument → the target that it names, of all pictures that G(v) is compared with."""
        return {"target": self.target}

    def gather(self, named: Mapping[str, Tensor]) -> Float[Tensor, "b k h w"]:
        """The pictures among some named ones that G(v) is compared with, one behind the other where it is several."""
        pictures = [named[name] for name in self.pictures.values()]
        return torch.cat(pictures, dim=1) if len(pictures) > 1 else pictures[0]

    def target_features(self, pictures: Float[Tensor, "b k h w"]) -> list[Tensor]:
        """The features that those of G(v) are compared with.

        Arguments:
            pictures: What :attr:`pictures` names, where it is several one behind the other as channels.
        """
        return self.look(pictures)

    def look(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """The features, by a network that computes as the run does, for a comparison in float32."""
        with networks(image.device.type):
            return [single(feature) for feature in self.features(image)]

    def seen(
        self,
        image: Float[Tensor, "b c h w"],
        target: Float[Tensor, "b k h w"],
        weights: Float[Tensor, "b 1 hw ww"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """The image to take features of: where they look around, with the target's pixels where the weight is 0.

        So an image that is right wherever it counts costs nothing, and no gradient comes from elsewhere.
        """
        if weights is None or not self.looks_around:
            return image
        if weights.shape[-2:] != image.shape[-2:]:
            weights = F.interpolate(weights, size=image.shape[-2:], mode="area")
        return torch.where(weights > 0, image, target)

    def weights(self, targets: Mapping[str, Tensor]) -> Float[Tensor, "b 1 h w"] | None:
        """The map among some named targets that weighs the pixels of this loss; ``None`` where there is none."""
        return None if self.mask is None else targets.get(self.mask)


def require_targets(
    losses: Mapping[str, AbstractLoss], names: Collection[str], maps: Collection[str], source: str = "the data have"
) -> None:
    """Refuse losses that look at targets which there are not.

    Arguments:
        losses: Name → L.
        names: The targets that there are.
        maps: Those among them that can weigh pixels.
        source: Who has them, as the beginning of the sentence.

    Raises:
        ValueError: One sentence with the key, for the first of them.
    """
    for name, loss in losses.items():
        for key, picture in loss.pictures.items():
            if picture not in names:
                raise ValueError(lack(f"loss.{name}.{key}", picture, names, source))
        if loss.mask in (None, "mask", *maps):
            continue
        if loss.mask in names:
            raise ValueError(f"loss.{name}.mask: '{loss.mask}' is a picture and no map; choose mask, or null for none")
        raise ValueError(lack(f"loss.{name}.mask", loss.mask, {*maps, "null"}, source))


def lack(key: str, name: str, names: Collection[str], source: str = "the data have") -> str:
    """The sentence for the setting ``key`` that names a target which there is not among ``names``."""
    companion = "strokes" if name in STROKES else name
    fixes = [f"give data.{companion}=<file or folder>"] if companion in COMPANIONS and "data" in source else []
    fixes += [f"choose one of {', '.join(sorted(names))}"] if names else []
    return f"{key}: {source} no '{name}'; {', or '.join(fixes) or 'there are none to choose from'}"


def spatial_mean(
    values: Float[Tensor, "b c h w"], weights: Float[Tensor, "b 1 hw ww"] | None = None
) -> Float[Tensor, " b"]:
    """Mean over channels and space of each image, weighted by a map that is area-resized to the size of ``values``.

    A map that is zero everywhere gives zero rather than a division by zero.
    """
    if weights is None:
        return values.mean(dim=(1, 2, 3))
    if weights.shape[-2:] != values.shape[-2:]:
        weights = F.interpolate(weights, size=values.shape[-2:], mode="area")
    total = weights.sum(dim=(1, 2, 3)).clamp_min(1e-12)
    return (values.mean(dim=1, keepdim=True) * weights).sum(dim=(1, 2, 3)) / total
