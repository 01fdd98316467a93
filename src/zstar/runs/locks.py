"""One process at a time: locks that end with the process that holds them, however it dies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class LeftToAnother(Exception):
    """Another process is at work in the folder that a run asks for; nothing was done here."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"left to another process: {folder}")


@contextmanager
def hold(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold the lock in the file ``path``, as one process at a time can.

    It is the kernel's lock on an open file (``flock``), not the presence of a file: it ends with its process, however
    that dies, also on another machine of a shared file system, whose server takes it back. Where a file system has no
    such locks, ``filelock`` says so and records the process instead, which only its own machine can tell to be dead.

    Raises:
        LeftToAnother: Another process holds it, and there is no time to ``wait``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if not wait:
            raise LeftToAnother(path.parent) from None
        print(f"waiting for another process: {path.parent}", flush=True)
        lock.acquire(poll_interval=0.5)
    try:
        yield
    finally:
        lock.release()
