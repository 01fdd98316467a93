"""The protocol of annotators: networks for segmentation and factors of an image."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class Annotation:
    """An annotator's outputs for a batch of images.

    Attributes:
        logits: Class scores per pixel before the softmax, ``[b, classes, h, w]``.
        factors: One raw output per factor, ``[b, k]``: a logit for a presence flag, else the value scaled to [0, 1].
        features: The encoder's feature maps, fine to coarse, ``[b, c_i, h / 2^i, w / 2^i]``.
    """

    logits: Float[Tensor, "b classes h w"]
    factors: Float[Tensor, "b k"]
    features: list[Tensor]


class AbstractAnnotator(nn.Module, ABC):
    """A network with two heads, class segmentation and factor regression, over one encoder.

    It segments generated images, reads their factors, and its features make a perceptual distance. In ``eval()`` the
    images of a batch do not influence each other.

    Attributes:
        classes: Number of classes that a pixel can have.
        factors: Number of factors that an image has.
        widths: Channels of the feature maps, fine to coarse.
        size: Height and width of the images that it has learned from, where that is known: of others it reads nonsense.
    """

    classes: int
    factors: int
    widths: tuple[int, ...]
    size: int | None = None

    def require_images(self, channels: int, resolution: int, name: str, fix: str) -> None:
        """Raise ``ValueError`` unless it reads such images; ``name`` begins the sentence and ``fix`` ends it."""
        smallest = 2 ** len(self.widths)
        if channels != 3 or resolution % smallest:
            raise ValueError(
                f"{name} reads colour images whose size is a multiple of {smallest}, and this generator makes "
                f"{channels}×{resolution}×{resolution}; {fix}"
            )

    def sized(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h2 w2"]:
        """Images in [−1, 1] of the size that it has learned from; as they are, where they have it or it is unknown."""
        if self.size in (None, images.shape[-1]):
            return images
        return F.interpolate(images, size=(self.size, self.size), mode="bicubic", antialias=True).clamp(-1, 1)

    @abstractmethod
    def encode(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """The feature maps alone, fine to coarse: all that a perceptual distance or a discriminator needs."""

    @abstractmethod
    def annotate(self, features: list[Tensor]) -> Annotation:
        """Both heads, from the feature maps."""

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Annotation:
        """Annotate images in [−1, 1]."""
        return self.annotate(self.encode(images))
