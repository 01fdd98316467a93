"""The progress bar of a projection."""

from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zstar import callbacks


class Display:
    """A bar over all steps of all batches, with the current loss and the time left.

    Arguments:
        batches: Number of batches.
        images: Number of images, for the caption.
    """

    def __init__(self, batches: int, images: int) -> None:
        self._bar = Progress(
            TextColumn("projecting {task.fields[images]} images"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%  batch {task.fields[batch]}/{task.total:.0f}  {task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task("", total=batches, images=images, batch=1, state="")
        self._done = 0
        self._batches = batches
        self.callback = callbacks.Progress(self._step)

    def batch_done(self, index: int) -> None:
        """Batch ``index`` is finished, now or in an earlier run."""
        self._done = index + 1
        shown = min(self._done + 1, self._batches)
        self._bar.update(self._task, completed=self._done, batch=shown)

    def _step(self, done: int, steps: int, value: float) -> None:
        state = f"step {done}/{steps}  loss {value:.4f}"
        self._bar.update(self._task, completed=self._done + done / steps, state=state)

    def __enter__(self) -> "Display":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
