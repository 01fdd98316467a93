"""Numbers as they are written: for people, and in JSON."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zstar.stats.comparison import mean_interval

ARROWS = {"higher": "↑", "lower": "↓"}
"""Sign of the better direction of a metric."""


def decimals(mean: float | None, low: float | None, high: float | None) -> int:
    """Decimal places that suit a mean and its interval: two significant digits of the width, else four of the mean.

    Below 100 there is at least one, unless the mean is a whole number that all images share.
    """
    width = math.nan if low is None or high is None else high - low
    size, digits = (width, 2) if 0 < width < math.inf else (abs(mean or 0.0), 4)
    if not 0 < size < math.inf or (digits == 4 and size == round(size)):
        return 0
    return min(max(digits - 1 - math.floor(math.log10(size)), int(abs(mean or 0.0) < 100)), 8)


def show(value: float | None, places: int) -> str:
    """A number for people: thousands separated, ``∞`` for infinite, ``–`` for none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:,.{places}f}" if math.isfinite(value) else "∞" if value > 0 else "−∞"


def with_interval(mean: float | None, low: float | None, high: float | None, places: int | None = None) -> str:
    """``27.20 [26.73, 27.66]``, with as many places as suit them unless these are given; the mean alone where too few
    images have an interval."""
    places = decimals(mean, low, high) if places is None else places
    known = not any(end is None or math.isnan(end) for end in (low, high))
    return show(mean, places) + (f" [{show(low, places)}, {show(high, places)}]" if known else "")


def mean_with_interval(values: ArrayLike, places: int | None = None) -> str:
    """The mean of one value per image with its 95 % interval, ``27.20 [26.73, 27.66]``; images that have none are left
    out."""
    plain = np.asarray(values, dtype=np.float64)
    kept = plain[~np.isnan(plain)]
    return with_interval(float(kept.mean()), *mean_interval(kept), places) if len(kept) else show(None, 0)


def duration(seconds: float | None) -> str:
    """Seconds in words: ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def finite(value: float) -> float | None:
    """The number, or ``None`` if JSON lacks it."""
    return value if math.isfinite(value) else None


def plain(value: Any, number: Callable[[float], Any] = finite) -> Any:
    """Containers of plain Python, ready for JSON: mappings as dicts, sequences as lists, scalars of numpy as Python's.

    Arguments:
        number: What a float becomes.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(entry, number) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry, number) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return number(value) if isinstance(value, float) else value
