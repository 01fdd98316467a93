"""Small charts as inline SVG, a few kilobytes each, in the colours of their page."""

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np
from jaxtyping import Float

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 26
STYLE = """
.chart { --mark: #2b6777; --line: #b9bdb6; --text: #6b716a; font: 11px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { .chart { --mark: #7cc0d0; --line: #474d48; --text: #9aa29b; } }
.chart text { fill: var(--text); font-variant-numeric: tabular-nums; }
.chart .grid { stroke: var(--line); stroke-width: .5; fill: none; }
.chart .area { fill: var(--mark); fill-opacity: .2; }
.chart .bar { fill: var(--mark); fill-opacity: .5; }
.chart .curve { stroke: var(--mark); stroke-width: 1.75; fill: none; stroke-linejoin: round; }
.chart .rug { stroke: var(--mark); stroke-width: 1; stroke-opacity: .6; }
"""

Scale = Callable[[float], float]


def curve(
    steps: Float[np.ndarray, " t"],
    median: Float[np.ndarray, " t"],
    low: Float[np.ndarray, " t"],
    high: Float[np.ndarray, " t"],
    label: str,
) -> str:
    """A line with a band around it over the steps; logarithmic where all values are positive and differ a lot."""
    bottom, top = float(low.min()), float(high.max())
    logarithmic = bottom > 0 and top / bottom > 5
    if top == bottom:
        bottom, top = bottom - 0.5 * abs(bottom or 1), top + 0.5 * abs(top or 1)
    x = _linear(float(steps[0]), float(max(steps[-1], steps[0] + 1)), LEFT, WIDTH - RIGHT)
    y = _linear(*((math.log10(bottom), math.log10(top)) if logarithmic else (bottom, top)), HEIGHT - BOTTOM, TOP)
    height: Scale = (lambda value: y(math.log10(value))) if logarithmic else y
    ticks = _decades(bottom, top) if logarithmic else _ticks(bottom, top, 4)
    upper = [(x(s), height(v)) for s, v in zip(steps, high, strict=True)]
    lower = [(x(s), height(v)) for s, v in zip(steps, low, strict=True)]
    middle = [(x(s), height(v)) for s, v in zip(steps, median, strict=True)]
    parts = [_rows(ticks, height), _columns(_ticks(float(steps[0]), float(steps[-1]), 5), x)]
    parts += [f'<polygon class="area" points="{_points(upper + lower[::-1])}"/>']
    parts += [f'<polyline class="curve" points="{_points(middle)}"/>']
    return _svg(parts, label)


def histogram(values: Float[np.ndarray, " n"], mean: float, interval: tuple[float, float], label: str) -> str:
    """Bars of the finite values, a tick per value where there are at most 200, and the mean in its interval."""
    shown = values[np.isfinite(values)]
    quartiles = np.quantile(shown, [0.25, 0.75])  # the rule of Freedman and Diaconis, within reason
    width = 2 * float(quartiles[1] - quartiles[0]) / len(shown) ** (1 / 3)
    counts, edges = np.histogram(shown, int(np.clip(np.ptp(shown) / width, 6, 30)) if width else 30)
    x = _linear(float(edges[0]), float(edges[-1]), LEFT, WIDTH - RIGHT)
    y = _linear(0.0, float(counts.max()), HEIGHT - BOTTOM - 8, TOP)
    parts = [_rows([tick for tick in _ticks(0.0, float(counts.max()), 3) if tick == int(tick)], y)]
    parts += [_columns(_ticks(float(edges[0]), float(edges[-1]), 4), x)]
    for count, first, last in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        box = f'x="{x(first) + 0.5:.1f}" width="{max(x(last) - x(first) - 1, 0.5):.1f}" y="{y(count):.1f}"'
        parts.append(f'<rect class="bar" {box} height="{y(0) - y(count):.1f}"/>')
    if len(shown) <= 200:
        marks = " ".join(f"M{x(value):.1f} {HEIGHT - BOTTOM - 5}v5" for value in shown.tolist())
        parts.append(f'<path class="rug" d="{marks}"/>')
    if all(map(math.isfinite, interval)):
        left, right = x(interval[0]), x(interval[1])
        parts.append(
            f'<rect class="area" x="{left:.1f}" width="{right - left:.1f}" y="{TOP}" height="{y(0) - TOP:.1f}"/>'
        )
    if math.isfinite(mean):
        parts.append(f'<path class="curve" d="M{x(mean):.1f} {TOP}V{y(0):.1f}"/>')
    return _svg(parts, label)


def _linear(first: float, last: float, start: float, end: float) -> Scale:
    return lambda value: start + (float(value) - first) / ((last - first) or 1.0) * (end - start)


def _ticks(first: float, last: float, wanted: int) -> list[float]:
    """Round numbers from ``first`` to ``last``, about as many as wanted."""
    rough = (last - first or 1.0) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda size: abs(size - rough))
    return [round(k * step, 12) for k in range(math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9) + 1)]


def _decades(first: float, last: float) -> list[float]:
    powers = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    factors: Sequence[int] = (1,) if len(powers) > 4 else (1, 2, 5) if len(powers) < 4 else (1, 3)
    return [factor * 10.0**power for power in powers for factor in factors if first <= factor * 10.0**power <= last]


def _rows(ticks: Sequence[float], y: Scale) -> str:
    lines = "".join(f"M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" for tick in ticks)
    texts = (f'<text x="{LEFT - 6}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{_word(tick)}</text>' for tick in ticks)
    return f'<path class="grid" d="{lines}"/>{"".join(texts)}'


def _columns(ticks: Sequence[float], x: Scale) -> str:
    base = HEIGHT - BOTTOM
    texts = (f'<text x="{x(t):.1f}" y="{base + 16}" text-anchor="middle">{_word(t)}</text>' for t in ticks)
    return f'<path class="grid" d="M{LEFT} {base}H{WIDTH - RIGHT}"/>{"".join(texts)}'


def _word(tick: float) -> str:
    return f"{tick:.5g}".replace("e-0", "e−").replace("e-", "e−").replace("e+0", "e").replace("-", "−")


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _svg(parts: Sequence[str], label: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    return f'{head} aria-label="{escape(label)}">{"".join(parts)}</svg>'


def stack(curves: Sequence[tuple[str, str]]) -> str:
    """Named charts below each other as one SVG file of its own."""
    height = (HEIGHT + 18) * len(curves)
    size = f'viewBox="0 0 {WIDTH} {height}" width="{2 * WIDTH}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>']
    for index, (name, drawing) in enumerate(curves):
        top = index * (HEIGHT + 18)
        inner = drawing.replace("<svg ", f'<svg y="{top + 14}" width="{WIDTH}" height="{HEIGHT}" ', 1)
        parts.append(f'<g class="chart"><text x="{LEFT}" y="{top + 14}">{escape(name)}</text></g>{inner}')
    return "".join(parts) + "</svg>"
