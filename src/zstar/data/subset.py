"""Some of the images of another data set."""

import hashlib
from collections.abc import Sequence

import torch

from zstar.data.base import MEGAPIXELS, AbstractData, Batch
from zstar.stats.streams import stream


class Subset(AbstractData):
    """The images of ``data`` at ``indices``, in that order.

    Arguments:
        data: The whole data set.
        indices: Which of its images.
    """

    def __init__(self, data: AbstractData, indices: Sequence[int]) -> None:
        self.data, self.indices, self.block, self.fit = data, list(indices), 1, data.fit
        self.computes = data.computes

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: Sequence[int]) -> Batch:
        return self.data.read([self.indices[index] for index in indices])

    def large(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        return self.data.large(self.indices[index], megapixels)

    def whole(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        return self.data.whole(self.indices[index], megapixels)

    def fingerprint(self) -> str:
        """A hash of the whole and of what is chosen from it."""
        return hashlib.sha256(f"{self.data.fingerprint()} {self.indices}".encode()).hexdigest()

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        """Hold images out as of every finite set."""
        return hold_out(self, count)


def hold_out(data: AbstractData, count: int) -> tuple[AbstractData, AbstractData | None]:
    """Keep ``count`` images of a finite set, but at most a tenth of it, out of training.

    Which ones depends on the size of the set alone. Of fewer than ten images none is kept out.
    """
    count = min(count, len(data) // 10)
    if not count:
        return data, None
    order = torch.randperm(len(data), generator=stream("held-out images", 0)).tolist()
    return Subset(data, sorted(order[count:])), Subset(data, sorted(order[:count]))
