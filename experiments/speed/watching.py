"""A process seen from outside: when it got how far, and what it had taken by then."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Moment:
    """A moment in the life of a process: seconds since its start, of the clock and of the processor."""

    clock: float
    processor: float


@dataclass
class Seen:
    """A process from its start to its end.

    Attributes:
        marks: When each of the files that were waited for was there.
        memory: Its peak, in MiB.
        end: When it was over.
    """

    marks: list[Moment] = field(default_factory=list)
    memory: float = 0.0
    end: Moment = field(default_factory=lambda: Moment(0.0, 0.0))


def follow(
    words: Sequence[str],
    folder: Path,
    pattern: str,
    log: Path,
    stop: Callable[[Seen], bool] = lambda seen: False,
    root: Path = ROOT,
) -> Seen:
    """Start ``invert.py``, look every 20 ms for new files, and kill it (SIGKILL) once ``stop`` says so.

    ``root`` is the checkout that it is of; another one than this has an environment of its own in ``.venv``.
    """
    python = sys.executable if root == ROOT else str(root / ".venv/bin/python")
    known, seen, began = set(folder.glob(pattern)), Seen(), time.perf_counter()
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen([python, "invert.py", *words], cwd=root, stdout=file, stderr=file)
    while process.poll() is None:
        new = set(folder.glob(pattern)) - known
        known |= new
        try:
            seen.end = Moment(time.perf_counter() - began, processor_seconds(process.pid))
            seen.memory = max(seen.memory, peak_memory(process.pid))
        except (FileNotFoundError, ProcessLookupError, IndexError):  # it is ending just now
            continue
        seen.marks += [seen.end] * len(new)
        if stop(seen):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.02)
    seen.marks += [seen.end] * len(set(folder.glob(pattern)) - known)
    if process.wait() not in (0, -signal.SIGKILL):
        raise SystemExit(f"invert.py failed: see {log}")
    return seen


def processor_seconds(pid: int) -> float:
    """What a process and those that it has waited for have taken of the processor."""
    numbers = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, numbers[11:15])) / TICKS


def peak_memory(pid: int) -> float:
    """The most memory that a process has had so far, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
