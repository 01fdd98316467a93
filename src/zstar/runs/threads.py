"""How many threads read or write at once, and work that several of them share."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def threads(least: int, most: int) -> int:
    """As many as there are cores that this process may use, from ``least`` to ``most``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(least, min(most, cores))


READERS = threads(4, 8)  # files that are read at once


def read_all(read: Callable[..., T], *items: Iterable[Any]) -> list[T]:
    """``[read(*item) for item in zip(*items)]``, where reading one waits for no other."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, *items))
