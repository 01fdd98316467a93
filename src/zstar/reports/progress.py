"""Progress of a job: a bar on a terminal, lines in a log file."""

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from zstar.reports.numbers import duration

BAR = 24  # columns of the bar, where there is room
SOON, LATER = 5.0, 60.0  # seconds to the first line between two marks, and, by and by, from one to the next


class Progress:
    """How far a job is, how fast, and what is left; to be entered as a context.

    On a terminal it is one line that changes, and of which the least important parts go first where it is too narrow.
    Elsewhere, as in the log of a cluster, each mark is a line, and between two marks there is one a minute.

    Arguments:
        total: Units of work.
        unit: Name of them.
        caption: What is done with them.
        done: Units that were done before.
        clock: Seconds; another one in tests.
    """

    def __init__(
        self, total: int, unit: str, caption: str, done: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total, self.unit, self.caption, self.clock = total, unit, caption, clock
        self.before = self.done = done
        self.state = ""
        self.live: Any = None

    def __enter__(self) -> "Progress":
        self.began = self.printed = self.clock()
        self.pause = SOON
        if sys.stdout.isatty():
            from rich.live import Live  # takes a while to import
            from rich.text import Text

            self.live = Live(get_renderable=lambda: Text(self.line(self.live.console.width)), refresh_per_second=4)
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def skip(self, done: float) -> None:
        """Units up to ``done`` were done before: they say nothing of the rate."""
        self.before += done - self.done
        self.done = done

    def update(self, done: float, state: str | None = None, mark: bool = False) -> None:
        """``done`` units are done. A ``mark`` is worth a line in a log; ``state`` is what happens now,
        in parts with two spaces between them, of which the last may be left out first."""
        self.done = done
        self.state = self.state if state is None else state
        now = self.clock()
        if self.live is None and (mark or now - self.printed >= self.pause):
            self.pause = self.pause if mark else min(2 * self.pause, LATER)
            self.printed = now
            print(self.line(), flush=True)

    def line(self, width: int | None = None) -> str:
        """All in one line of at most ``width`` columns, with a bar if that is given."""
        share = self.done / max(self.total, 1)
        spent, new = self.clock() - self.began, self.done - self.before
        rate = new / spent if spent > 0 else 0.0
        left = (self.total - self.done) / rate if rate > 0 else None
        count = f"{self.done:.0f} of {self.total} {self.unit}"
        end = "time left unknown" if left is None else f"{duration(left)} left"
        parts = [(0, f"{share:4.0%}"), (2, count), *((3, text) for text in self.state.split("  "))]
        parts += [(1, pace(rate, self.unit)), (0, end)]
        if width is None:
            return join([self.caption, *(text for _, text in parts)])
        kept = fit([(2, self.caption), *parts], width)
        room = min(BAR, width - len(kept) - 1)
        full = round(room * share)
        return f"{'━' * full}{'─' * (room - full)} {kept}" if room >= BAR // 3 else kept


def fit(parts: Sequence[tuple[int, str]], width: int) -> str:
    """The parts in a line of at most ``width`` columns: those of the highest number go first, and of them the last."""
    kept = [(rank, text) for rank, text in parts if text]
    while len(join([text for _, text in kept])) >= width and any(rank for rank, _ in kept):
        place = max(range(len(kept)), key=lambda i: (kept[i][0], i))
        kept.pop(place)
    return join([text for _, text in kept])[:width]


def pace(rate: float, unit: str) -> str:
    """So many units a second, or where that is less than one, how long one takes; nothing where it is not known."""
    if rate >= 1:
        return f"{rate:,.0f} {unit}/s" if rate >= 100 else f"{rate:.3g} {unit}/s"
    return f"{duration(1 / rate)} each" if rate > 0 else ""


def join(texts: Sequence[str]) -> str:
    """The texts that say something, side by side."""
    return "  ".join(text for text in texts if text)
