"""How many threads read or write at once."""

import os


def threads(least: int, most: int) -> int:
    """As many as there are cores that this process may use, from ``least`` to ``most``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(least, min(most, cores))
