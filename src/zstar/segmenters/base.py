"""The protocol of segmenters: networks that say of each pixel which class it belongs to."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from jaxtyping import Float, Int64
from torch import Tensor, nn

from zstar.config.signatures import nearest
from zstar.generators.base import AbstractGenerator

Kind = Literal["object", "part", "material"]
KINDS: tuple[str, ...] = get_args(Kind)


class AbstractSegmenter(nn.Module, ABC):
    """A frozen network from images to classes, in ``eval()``: the images of a batch do not matter to each other.

    Attributes:
        classes: Names of the classes, in the order of the logits.
        kinds: Name of a class → whether it is an object, a part of one, or a material.
    """

    classes: Sequence[str]
    kinds: Mapping[str, Kind]

    @abstractmethod
    def logits(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Scores of the classes for each pixel of images in [−1, 1], before the softmax; differentiable."""

    @abstractmethod
    def require_images(self, generator: AbstractGenerator) -> None:
        """Raise ``ValueError`` where it can't read the images of this generator; one sentence."""

    def forward(self, images: Float[Tensor, "b c h w"]) -> Int64[Tensor, "b h w"]:
        """The class of each pixel of images, which are clamped to [−1, 1] as pictures are."""
        return self.logits(images.clamp(-1, 1)).argmax(dim=1)

    def column(self, name: str, key: str) -> int:
        """The place of a class; ``key`` begins the sentence where there is none of that name."""
        if name not in self.classes:
            raise ValueError(f"{key}: the segmenter has no class '{name}'; {nearest(name, self.classes)}")
        return list(self.classes).index(name)


def make_kinds(classes: Sequence[str], parts: Sequence[str], materials: Sequence[str]) -> dict[str, Kind]:
    """The kind of each class: those that are neither named as parts nor as materials are objects."""
    for key, names in (("parts", parts), ("materials", materials)):
        if unknown := [name for name in names if name not in classes]:
            raise ValueError(f"segmenter.{key}: there is no class '{unknown[0]}'; {nearest(unknown[0], classes)}")
    kinds: dict[str, Kind] = dict.fromkeys(classes, "object")
    return kinds | dict.fromkeys(parts, "part") | dict.fromkeys(materials, "material")
