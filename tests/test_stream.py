"""The stream of training batches: read ahead in a thread, in order, and shared by processes."""

import threading
import time
from collections.abc import Sequence

import pytest
import torch

from zstar.data.base import AbstractData, Batch
from zstar.data.stream import AHEAD, Stream


class Numbers(AbstractData):
    """Images that say which they are; the one called ``bad`` fails, and what was read is noted."""

    def __init__(self, count: int, bad: int | None = None, broken: int | None = None) -> None:
        self.count, self.bad, self.broken, self.log = count, bad, broken, []

    def __len__(self) -> int:
        return self.count

    def read(self, indices: Sequence[int]) -> Batch:
        self.log.append((list(indices), threading.current_thread().name))
        if self.bad in indices:
            raise RuntimeError(f"image {self.bad} bites")
        kept = [index for index in indices if index != self.broken]
        images = torch.tensor(kept, dtype=torch.float32).view(-1, 1, 1, 1)
        failed = {str(index): "broken" for index in indices if index == self.broken}
        return Batch([str(index) for index in kept], images, {"number": images.flatten()}, failed)

    def fingerprint(self) -> str:
        return "numbers"

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        return self, None


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("stream")]


def numbers(batch: dict[str, torch.Tensor]) -> list[int]:
    assert batch["images"].flatten().tolist() == batch["number"].tolist()
    return batch["number"].int().tolist()


def test_batches_come_in_order_and_from_one_thread() -> None:
    data = Numbers(10)
    stream = Stream(data, 3, 2, 9)
    assert [numbers(batch) for batch in stream] == [stream.indices(step) for step in range(2, 9)]
    assert [indices for indices, _ in data.log] == [stream.indices(step) for step in range(2, 9)]
    assert len({name for _, name in data.log}) == 1 and data.log[0][1] != threading.current_thread().name
    assert not readers()


@pytest.mark.parametrize("count", [0, 1, AHEAD, AHEAD + 1])
def test_short_streams_end(count: int) -> None:
    assert len(list(Stream(Numbers(10), 2, 4, 4 + count))) == count and not readers()


def test_it_reads_a_little_ahead() -> None:
    data = Numbers(100)
    batches = iter(Stream(data, 2, 0, 50))
    next(batches)
    end = time.monotonic() + 10
    while len(data.log) < 1 + AHEAD and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(data.log) == 1 + AHEAD
    batches.close()
    assert not readers()


def test_what_goes_wrong_is_raised_in_its_place() -> None:
    stream = Stream(Numbers(12), 2, 0, 6)
    data = Numbers(12, bad=stream.indices(3)[1])
    seen = []
    with pytest.raises(RuntimeError, match=f"image {data.bad} bites"):
        for batch in Stream(data, 2, 0, 6):
            seen.append(numbers(batch))
    assert seen == [stream.indices(step) for step in range(3)] and not readers()


def test_broken_images_are_filled_up_and_a_batch_of_them_is_an_error() -> None:
    stream = Stream(Numbers(12), 2, 0, 6)
    first, second = stream.indices(2)
    broken = Stream(Numbers(12, broken=second), 2, 0, 6)
    for step, batch in enumerate(broken):
        assert numbers(batch) == ([first, first] if step == 2 else stream.indices(step))
        assert broken.failed == ({} if step < 2 else {str(second): "broken"})
    with pytest.raises(ValueError, match=rf"data: none of the 1 images of step 2 can be read \({first}: broken\)"):
        list(Stream(Numbers(12, broken=first), 2, 0, 6, rows=slice(0, None, 2)))


@pytest.mark.parametrize("world", [1, 2, 4])
def test_each_image_of_a_batch_is_read_by_one_process(world: int) -> None:
    whole = [numbers(batch) for batch in Stream(Numbers(40), 8, 0, 7)]
    parts = [[numbers(b) for b in Stream(Numbers(40), 8, 0, 7, rows=slice(rank, None, world))] for rank in range(world)]
    for step, batch in enumerate(whole):
        dealt = [part[step] for part in parts]
        assert all(len(share) == 8 // world for share in dealt)
        assert sorted(number for share in dealt for number in share) == sorted(batch)
        assert [dealt[row % world][row // world] for row in range(8)] == batch
