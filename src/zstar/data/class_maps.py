"""What each pixel of an image shows, as a picture."""

import colorsys
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from zstar.data.base import MEGAPIXELS, AbstractView, Batch
from zstar.data.cottages import CLASSES

GOLDEN = 0.618034  # of the wheel of hues: neighbours in the list are far from each other, however many there are
LEVELS = ((0.75, 0.95), (0.55, 0.6), (0.35, 0.95))  # saturation and value, in turn


class ClassMaps(AbstractView):
    """The images of ``data`` with their masks painted in one colour for each class, as the target ``source``: pairs of
    a label map and its picture, to learn the way from one to the other (Isola et al. 2017,
    https://arxiv.org/abs/1611.07004).

    Arguments:
        data: Images with ``masks``, as cottages have them.

    Raises:
        ValueError: The images have no masks; one sentence.
    """

    targets = ("source",)

    def read(self, indices: Sequence[int]) -> Batch:
        return self._painted(self.data.read(indices))

    def large(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        return self._painted(self.data.large(index, megapixels))

    def _painted(self, batch: Batch) -> Batch:
        if not batch.ids:
            return batch
        if "masks" not in batch.extras:
            raise ValueError(f"data.data: {type(self.data).__name__} has no masks to paint; choose cottages")
        masks = batch.extras["masks"]
        return replace(batch, extras={**batch.extras, "source": paint_classes(masks.argmax(dim=1), masks.shape[1])})

    def fingerprint(self) -> str:
        """That of the images, marked."""
        return f"{self.data.fingerprint()} class maps"

    def split(self, count: int) -> tuple["ClassMaps", "ClassMaps | None"]:
        """Both parts of the images, painted alike."""
        kept, held = self.data.split(count)
        return ClassMaps(kept), held and ClassMaps(held)


def paint_classes(classes: Int64[Tensor, "b h w"], count: int) -> Float[Tensor, "b 3 h w"]:
    """Maps of class numbers as pictures in [−1, 1]."""
    return (class_colours(count).to(classes.device) * 2 - 1)[classes].permute(0, 3, 1, 2).contiguous()


def class_colours(count: int) -> Float[Tensor, "count 3"]:
    """A colour for each class in [0, 1], each a whole number of 255ths, as picture files have them."""
    colours = [colorsys.hsv_to_rgb(place * GOLDEN % 1, *LEVELS[place % len(LEVELS)]) for place in range(count)]
    return (torch.tensor(colours) * 255).round() / 255


def main() -> None:
    """Print the colour of each class of cottages, to paint maps with."""
    for name, colour in zip(CLASSES, (class_colours(len(CLASSES)) * 255).long().tolist(), strict=True):
        print("#" + "".join(f"{part:02x}" for part in colour), name)


if __name__ == "__main__":
    main()
