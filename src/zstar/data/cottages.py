"""Cottages: a small procedural world of landscapes with exact factors and masks."""

import hashlib
import math
from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.data.base import MEGAPIXELS, AbstractData, Batch
from zstar.data.cottage_factors import FACTORS, SPLITS, Factor, sample_factors
from zstar.data.cottage_scene import CLASSES, render

__all__ = ["CLASSES", "FACTORS", "SPLITS", "Cottages", "Factor", "render", "sample_factors", "world_hash"]

SEASONS = 4  # that classes tell


class Cottages(AbstractData):
    """Landscapes with a cottage or a chapel, drawn on demand: choose it when nothing else is at hand, or to measure.

    Each image is a pure function of (seed, split, index), and the splits never overlap. ``read`` gives with the images
    ``factors`` ``[b, k]`` in the order of ``FACTORS`` and ``masks`` ``[b, c, h, w]`` in the order of ``CLASSES``.

    Arguments:
        count: Number of images.
        split: "train", "validation" or "test".
        resolution: Side of the square images in pixels, 8 or more; made for 32, 64 and 128.
        seed: Another seed gives another world of the same distribution.
        first: Index within the split of the first image.
        photo_resolution: Side of the photos that post-processing gets, drawn larger than the images; their own, if not
            given.
        classed: Whether ``read`` gives the ``class`` of each image too, one-hot ``[b, 8]``: four quarters of the way
            from summer to autumn for cottages, then for chapels.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        count: int = 64,
        split: Literal["train", "validation", "test"] = "test",
        resolution: int = 64,
        seed: int = 0,
        first: int = 0,
        photo_resolution: int | None = None,
        classed: bool = False,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"data.split is {split!r}; choose one of {', '.join(SPLITS)}.")
        self.photo_resolution = resolution if photo_resolution is None else photo_resolution
        settings = {"count": (count, 1), "resolution": (resolution, 8), "first": (first, 0)}
        settings["photo_resolution"] = (self.photo_resolution, 8)
        for name, (value, least) in settings.items():
            if value < least:
                raise ValueError(f"data.{name} is {value}; give {least} or more.")
        self.count, self.split_name, self.resolution, self.seed, self.first = count, split, resolution, seed, first
        self.classes = 2 * SEASONS if classed else 0

    def __len__(self) -> int:
        return self.count

    def read(self, indices: Sequence[int]) -> Batch:
        """Draw the images at ``indices``, each from 0 to ``len(self) − 1``; none can fail.

        Raises:
            IndexError: An index lies outside the data set.
        """
        return self._draw(indices, self.resolution)

    def large(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        return self._draw([index], min(self.photo_resolution, math.isqrt(round(1e6 * megapixels))))

    def _draw(self, indices: Sequence[int], resolution: int) -> Batch:
        """The images at ``indices``, of another size."""
        places = [int(index) for index in indices]
        for place in places:
            if not 0 <= place < self.count:
                raise IndexError(f"image {place} of a data set with data.count={self.count}; ask for less or raise it.")
        numbers = [self.first + place for place in places]
        factors = sample_factors(numbers, self.split_name, self.seed)
        images, masks = render(factors, resolution)
        ids = [f"{self.split_name}-{number:06d}" for number in numbers]
        classes = {"class": self._classes_of(factors)} if self.classes else {}
        return Batch(ids, images, {"factors": factors, "masks": masks, **classes})

    def _classes_of(self, factors: Float[Tensor, "b k"]) -> Float[Tensor, "b c"]:
        """Kind of building and quarter of the season."""
        season, chapel = (factors[:, list(FACTORS).index(name)] for name in ("season", "is_chapel"))
        return F.one_hot((chapel * SEASONS + (season * SEASONS).floor()).long(), self.classes).float()

    def split(self, count: int) -> tuple["Cottages", "Cottages | None"]:
        """All of these, and the first images of the split ``validation``."""
        if not count:
            return self, None
        split = "test" if self.split_name == "validation" else "validation"
        return self, Cottages(count, split, self.resolution, classed=self.classes > 0)

    def fingerprint(self) -> str:
        """A hash of the drawn content and of the arguments."""
        arguments = (self.count, self.split_name, self.resolution, self.seed, self.first)
        arguments += (self.classes,) * (self.classes > 0)
        shown = min(self.count, 4)
        content = _content_hash(
            tuple(range(self.first, self.first + shown)), self.split_name, self.seed, self.resolution
        )
        return hashlib.sha256(f"cottages {arguments} {content}".encode()).hexdigest()[:16]


def world_hash() -> str:
    """A hash that changes when the renderer's pictures or masks do; written on the cards of networks trained here."""
    return _content_hash(tuple(range(32)), "validation", 0, 64)


@cache
def _content_hash(numbers: tuple[int, ...], split: str, seed: int, resolution: int) -> str:
    """Drawn in double precision and rounded to bytes, so that processors which round differently agree."""
    images, masks = render(sample_factors(numbers, split, seed).double(), resolution)
    digest = hashlib.sha256(f"{list(FACTORS.items())} {CLASSES}".encode())
    for values in ((images + 1) * 127.5, masks * 255):
        digest.update(values.round().to(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
