"""The progress of a projection, batch by batch, and what its time goes to."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from zstar import callbacks
from zstar.reports.progress import Progress

NETWORKS = "networks"
IDLE = 0.2  # share of the time without the networks that is worth a word


class Spent:
    """Seconds of a job by what it was doing or waiting for; what else there was is called ``rest``.

    Each part has to end by waiting for the device, else its time is another's.

    Arguments:
        clock: Seconds; another one in tests.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock, self._began = clock, clock()
        self._parts: dict[str, float] = {NETWORKS: 0.0}

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Within the context, the job does this."""
        began = self._clock()
        try:
            yield
        finally:
            self._parts[part] = self._parts.get(part, 0.0) + self._clock() - began

    def seconds(self) -> dict[str, float]:
        """Seconds of each part so far, those of the networks first."""
        return {**self._parts, "rest": self._clock() - self._began - sum(self._parts.values())}

    def idle(self) -> str:
        """What the networks wait for most, with its share; nothing as long as that is little."""
        waited = {name: value for name, value in self._parts.items() if name != NETWORKS}
        part, share = max(waited, key=waited.get, default=""), 1 / max(sum(self._parts.values()), 1e-9)
        return f"{waited[part] * share:.0%} {part}" if sum(waited.values()) * share >= IDLE else ""

    def __str__(self) -> str:
        seconds = self.seconds()
        return ", ".join(f"{value / sum(seconds.values()):.0%} {name}" for name, value in seconds.items())


class Display:
    """The images that are projected, with the step and the loss of the batch that is at work.

    Arguments:
        batches: Number of batches.
        images: Number of images.
        size: Images in a batch, of which the last one may have fewer.

    Attributes:
        spent: What the time goes to.
    """

    def __init__(self, batches: int, images: int, size: int) -> None:
        self._batches, self._images, self._size = batches, images, size
        self._progress = Progress(images, "images", "projecting")
        self._batch = 0
        self.spent = Spent()
        self.callback = callbacks.Progress(self._step)

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Within the context, the job does this, and the line says so; steps of the networks say more by themselves."""
        if part != NETWORKS:
            state = f"batch {min(self._batch + 1, self._batches)} of {self._batches}  {part}"
            self._progress.update(self._progress.done, state)
        with self.spent.on(part):
            yield

    def batch_done(self, index: int, now: bool = True) -> None:
        """Batch ``index`` is finished, by this process ``now`` or before."""
        self._batch = index + 1
        done = self._reached(self._batch)
        if not now:
            self._progress.skip(done)
            return
        self._progress.update(done, f"batch {self._batch} of {self._batches}  {self.spent.idle()}", mark=True)

    def _step(self, done: int, steps: int, value: float) -> None:
        first, last = self._reached(self._batch), self._reached(self._batch + 1)
        state = f"batch {self._batch + 1} of {self._batches}  step {done}/{steps}  loss {value:.4f}"
        self._progress.update(first + (last - first) * done / steps, state)

    def _reached(self, batches: int) -> int:
        return min(batches * self._size, self._images)

    def __enter__(self) -> "Display":
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)
