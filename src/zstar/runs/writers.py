"""Threads that write files while the work goes on."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Semaphore
from types import TracebackType

from zstar.runs.threads import threads

THREADS = threads(2, 16)  # encoding a picture leaves the interpreter to the others


class Writers:
    """Some threads that write files, to be entered as a context; when it is left, all of them are written.

    A file that can't be written is an error of the work: of the next file, of what waits for it, or at the end. Then,
    and where the work itself fails, files that are not begun are not written any more.

    Arguments:
        waiting: Files that may wait for a thread, with what they are made of in memory; further ones wait to join them.
    """

    def __init__(self, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "writer")
        self._room = Semaphore(waiting + THREADS)
        self._error: BaseException | None = None

    def write(self, function: Callable[..., object], *arguments: object) -> "Future[object]":
        """Let a thread call ``function``, which writes a file; what is returned is done when the file is there."""
        self._room.acquire()
        if self._error is not None:
            raise self._error
        future = self._pool.submit(function, *arguments)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: "Future[object]") -> None:
        if not future.cancelled():
            self._error = self._error or future.exception()
        self._room.release()

    def __enter__(self) -> "Writers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)
        if kind is None and self._error is not None:
            raise self._error


def wait_for(files: Iterable["Future[object]"]) -> None:
    """Wait until all files are written.

    Raises:
        OSError: One of them can't be.
    """
    for file in files:
        file.result()
