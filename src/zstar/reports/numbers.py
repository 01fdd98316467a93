"""Numbers as they are written for people."""

import math


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
