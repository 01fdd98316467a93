"""The protocol of image sources."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

MEGAPIXELS = 16.0  # of an image at its own resolution, at the most


@dataclass
class Batch:
    """Some images of a data set.

    Attributes:
        ids: A stable name for each image that could be read: the same in every run and on every machine.
        images: ``[b, c, h, w]`` in [−1, 1], in the order of ``ids``.
        extras: What else is known of them, batch first: ``latent``, ``factors``, ``masks``, and further targets,
            by the names in :data:`zstar.config.check.COMPANIONS` and :data:`zstar.config.check.STROKES`.
        failed: Name → reason, for images that could not be read.
        shapes: Name → height and width of an image's file, where it was brought to another size.
        corners: Name → where an image lies in its file, if not as ``fit`` says: see
            :data:`zstar.data.alignment.Corners`.
        photos: Name → name of the photo that an image was cut out of, of which it may not be the only one.
    """

    ids: list[str]
    images: Float[Tensor, "b c h w"]
    extras: dict[str, Tensor] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, int]] = field(default_factory=dict)
    corners: dict[str, Float[np.ndarray, "4 2"]] = field(default_factory=dict)
    photos: dict[str, str] = field(default_factory=dict)

    def without(self, failed: Mapping[str, str]) -> "Batch":
        """The same but for the images that have failed since: name → reason."""
        rows = [row for row, name in enumerate(self.ids) if name not in failed]
        ids, extras = [self.ids[row] for row in rows], {name: value[rows] for name, value in self.extras.items()}
        return replace(self, ids=ids, images=self.images[rows], extras=extras, failed=self.failed | dict(failed))


class AbstractData(ABC):
    """A finite, random-access source of images; reading is batched, and any index can be read at any time.

    Attributes:
        block: So many neighbours are as cheap to read together as one of them; shuffling keeps them together.
        computes: Whether a network draws the images, on its device: then there is nothing to be gained by reading them
            while other networks compute.
        classes: Number of classes of which each image has one, one-hot in the extra ``class``; 0 where there are none.
        targets: Names of the targets in the extras of each of its images, besides those that are chosen for it.
        fit: How files become square (:data:`zstar.data.reading.Fit`), if there are any: their companions do so too.
    """

    block: int = 1
    computes: bool = False
    classes: int = 0
    targets: Sequence[str] = ()
    fit: Literal["crop", "pad", "resize"] = "crop"

    @abstractmethod
    def __len__(self) -> int:
        """Number of images, readable or not."""

    @abstractmethod
    def read(self, indices: Sequence[int]) -> Batch:
        """Read the images at ``indices``; broken ones come back in ``failed``, never as an exception."""

    def large(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        """The image at ``index`` at its own resolution, as far as that goes, for post-processing: of the same view as
        ``read`` has it, but not brought to one size, nor to a square where ``fit`` is ``resize``.

        Arguments:
            megapixels: An image with more of them is scaled down to it.
        """
        return self.read([index])

    def whole(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        """The whole photo that the image at ``index`` was cut out of, with the corners of what ``large`` shows of it;
        the same as ``large`` where nothing was cut out."""
        return self.large(index, megapixels)

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash that changes whenever the content of the data set does."""

    @abstractmethod
    def split(self, count: int) -> tuple["AbstractData", "AbstractData | None"]:
        """The images to train on, and ``count`` held-out ones that are none of them; ``None`` if there are too few."""

    def batches(self, size: int) -> Iterator[Batch]:
        """All images in order, ``size`` at a time; the last batch may be smaller."""
        for first in range(0, len(self), size):
            yield self.read(range(first, min(first + size, len(self))))


class AbstractView(AbstractData):
    """The images of other data, one for one, with something done to them or laid beside them in ``read``; in large,
    and as the photos that they were cut out of, they are as they are there.

    Arguments:
        data: The images.
    """

    def __init__(self, data: AbstractData) -> None:
        self.data, self.block, self.fit, self.computes = data, data.block, data.fit, data.computes

    def __len__(self) -> int:
        return len(self.data)

    def large(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        return self.data.large(index, megapixels)

    def whole(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        return self.data.whole(index, megapixels)
