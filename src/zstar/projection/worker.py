"""A process at work on the batches of a projection, which waits for no disk as long as there is something to do."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import polars as pl

from zstar.data.ahead import Ahead
from zstar.projection.batch_store import Part, Parts
from zstar.projection.batches import project_batch
from zstar.projection.job import Job
from zstar.projection.progress import Display
from zstar.projection.shards import Shard
from zstar.runs.folder import finished, record_failure
from zstar.runs.locks import LeftToAnother, hold
from zstar.runs.writers import Writers, wait_for

PICTURES = 4  # of an image, at the most


class Worker:
    """Projects batches, to be entered as a context. While one is at work, the next is read, and the pictures of the one
    before are written; that one is held, and counts as done when all of them are there.

    Arguments:
        job: What is done.
        chosen: The batches that it may be asked for, in this order.
        folder: The run's folder.
        display: Its progress.
    """

    def __init__(self, job: Job, chosen: range, folder: Path, display: Display) -> None:
        self.job, self.chosen, self.folder, self.display = job, chosen, folder, display
        self.parts = Parts(folder, job.key)
        self._ahead = Ahead(job.data, job.batch_size)
        self._writers = Writers(PICTURES * job.batch_size)
        self._pools, self._last = ExitStack(), ExitStack()

    def project(self, index: int, wait: bool = False) -> pl.DataFrame | None:
        """Project a batch; returns its rows, or ``None`` if it, or all of the run, was done before.

        Arguments:
            wait: Whether it is waited for while others are at work on it.

        Raises:
            LeftToAnother: They are, and it is not to be waited for.
        """
        with ExitStack() as this:
            self._hold(index, this, wait)
            if self.parts.done(index) or finished(self.folder, self.job.key):
                return None
            with self.display.on("reading"):
                batch = self._ahead.read(index, self._following(index))
            files: list[Future[object]] = []

            def write(function: Callable[..., object], *arguments: object) -> None:
                files.append(self._writers.write(function, *arguments))

            part = project_batch(self.job, index, batch, self.folder, self.display, write)
            self._finish()
            this.callback(self._store, index, part, files)
            self._last = this.pop_all()
            return part.rows

    def _hold(self, index: int, batch: ExitStack, wait: bool) -> None:
        try:
            batch.enter_context(hold(self.parts.lock(index)))
        except LeftToAnother:
            if not wait:
                raise
            self._finish()  # others need not wait for that, too
            batch.enter_context(hold(self.parts.lock(index), wait=True))

    def _following(self, index: int) -> int | None:
        later = self.chosen[self.chosen.index(index) + 1 :]
        return next((other for other in later if not self.parts.done(other)), None)

    def _finish(self) -> None:
        """Store the batch before, when its pictures are written, and leave it to others."""
        with self.display.on("writing"):
            self._last.close()

    def _store(self, index: int, part: Part, files: list["Future[object]"]) -> None:
        wait_for(files)
        self.parts.write(index, part)

    def __enter__(self) -> "Worker":
        for pool in (self._ahead, self._writers):
            self._pools.enter_context(pool)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._finish()
        finally:
            self._pools.__exit__(kind, error, trace)


def project_shard(job: Job, shard: Shard, folder: Path) -> bool:
    """Project the batches of a shard that nobody is at work on; returns whether those of all shards are done.

    Raises:
        LeftToAnother: Others are at work on some of its batches.
    """
    parts, mine, left = Parts(folder, job.key), shard.batches(job.batches), False
    display = Display(len(mine), len(mine) * job.batch_size, job.batch_size)
    try:
        with display, Worker(job, mine, folder, display) as worker:
            for place, index in enumerate(mine):
                now = False
                try:
                    now = worker.project(index) is not None
                except LeftToAnother:
                    left = True
                display.batch_done(place, now)
    except Exception as error:
        record_failure(folder, error)
        raise
    print(f"time: {display.spent}")
    if finished(folder, job.key):
        parts.clear()
        return True
    missing = sum(not parts.done(index) for index in range(job.batches))
    if missing and left:
        raise LeftToAnother(folder)
    if missing:
        print(f"{shard}: done; {missing} of all {job.batches} batches are left to the others: {folder}")
    return not missing
