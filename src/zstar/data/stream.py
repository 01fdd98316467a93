"""Endless training batches, each a pure function of its step."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from zstar.data.base import AbstractData
from zstar.stats.streams import stream

AHEAD = 2  # batches that are read while a step computes


class Stream(IterableDataset):
    """The batches of steps ``first … last − 1``; each pass over the data is shuffled anew.

    Step ``s`` reads the same images in every run, so a training that starts again at step ``s`` sees exactly what it
    would have seen. It has no length on purpose: the trainer stops where the stream ends, at whatever step it began.

    A thread reads the next batches, one after the other, while the current one is used. It ends with the iterator.

    Arguments:
        data: The images; broken ones are left out, and a batch is filled up with its own first images.
        batch: Images per step.
        first: The step to begin with.
        last: The step to end before.
        seed: Seed of the shuffles.
        rows: Which images of a batch are read, where several processes share the work.

    Attributes:
        failed: Name → reason, for the broken images of the batches so far.
    """

    def __init__(
        self, data: AbstractData, batch: int, first: int, last: int, seed: int = 0, rows: slice = slice(None)
    ) -> None:
        if len(data) < batch:
            raise ValueError(f"task.batch: {batch} is more than the {len(data)} images there are; choose a smaller one")
        self.data, self.batch, self.first, self.last = data, batch, first, last
        self.seed, self.rows = seed, rows
        self.failed: dict[str, str] = {}
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))

    def indices(self, step: int) -> list[int]:
        """Which images step ``step`` trains on; a pass ends early where less than a batch is left."""
        epoch, place = divmod(step, len(self.data) // self.batch)
        if self._order[0] != epoch:
            self._order = (epoch, self._shuffled(stream("shuffle", self.seed, index=epoch)))
        return self._order[1][place * self.batch : (place + 1) * self.batch].tolist()

    def _shuffled(self, rng: torch.Generator) -> Tensor:
        """All indices in random order, but for the neighbours that are cheap to read together."""
        block = self.data.block if self.batch % self.data.block == 0 else 1
        whole = len(self.data) // block
        order = (torch.randperm(whole, generator=rng)[:, None] * block + torch.arange(block)).flatten()
        return torch.cat([order, torch.arange(whole * block, len(self.data))])

    def read(self, step: int) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The batch of a step, a dict with ``images`` and the data's extras, batch first; and its broken images.

        Raises:
            ValueError: None of its images can be read.
        """
        read = self.data.read(chosen := self.indices(step)[self.rows])
        if not read.ids:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in list(read.failed.items())[:3])
            raise ValueError(f"data: none of the {len(chosen)} images of step {step} can be read ({reasons})")
        fill = [i % len(read.ids) for i in range(len(chosen))]
        tensors = {"images": read.images, **read.extras}
        return {name: value[fill] for name, value in tensors.items()} if read.failed else tensors, read.failed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """The batches in order. What goes wrong with one of them is raised in its place, after those before it."""
        reader = ThreadPoolExecutor(1, "stream")
        coming: deque[Future[tuple[dict[str, Tensor], dict[str, str]]]] = deque()
        try:
            for step in range(self.first, self.last + AHEAD):
                if step < self.last:
                    coming.append(reader.submit(self.read, step))
                if step >= self.first + AHEAD:
                    batch, failed = coming.popleft().result()
                    self.failed |= failed
                    yield batch
        finally:
            reader.shutdown(cancel_futures=True)
