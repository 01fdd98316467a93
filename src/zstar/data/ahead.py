"""Batches of a data set, read ahead."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from zstar.data.base import AbstractData, Batch


class Ahead:
    """The batches of a data set, to be entered as a context: while one is used, a thread reads the next.

    No more than that one is in memory. Images that the generator draws on its device are read when they are asked for.

    Arguments:
        data: The images.
        size: Images in a batch; the last one may have fewer.
    """

    def __init__(self, data: AbstractData, size: int) -> None:
        self.data, self.size = data, size
        self._thread = ThreadPoolExecutor(1, "ahead")
        self._coming: dict[int, Future[Batch]] = {}

    def read(self, index: int, following: int | None = None) -> Batch:
        """Batch ``index``; ``following`` is the one that is asked for next, as far as is known.

        What goes wrong with a batch is raised where it is asked for, and one that is not asked for after all is
        dropped.
        """
        if self.data.computes:
            return self._read(index)
        found = self._coming.pop(index, None)
        for other in self._coming.values():
            other.cancel()
        batch = (found or self._thread.submit(self._read, index)).result()
        self._coming = {} if following is None else {following: self._thread.submit(self._read, following)}
        return batch

    def _read(self, index: int) -> Batch:
        first = index * self.size
        return self.data.read(range(first, min(first + self.size, len(self.data))))

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)
