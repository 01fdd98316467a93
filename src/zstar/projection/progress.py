"""The progress of a projection, batch by batch."""

from types import TracebackType

from zstar import callbacks
from zstar.reports.progress import Progress


class Display:
    """The images that are projected, with the step and the loss of the batch that is at work.

    Arguments:
        batches: Number of batches.
        images: Number of images.
        size: Images in a batch, of which the last one may have fewer.
    """

    def __init__(self, batches: int, images: int, size: int) -> None:
        self._batches, self._images, self._size = batches, images, size
        self._progress = Progress(images, "images", "projecting")
        self._batch = 0
        self.callback = callbacks.Progress(self._step)

    def batch_done(self, index: int, now: bool = True) -> None:
        """Batch ``index`` is finished, by this process ``now`` or before."""
        self._batch = index + 1
        done = self._reached(self._batch)
        if not now:
            self._progress.skip(done)
            return
        self._progress.update(done, f"batch {self._batch} of {self._batches}", mark=True)

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
