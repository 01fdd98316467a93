"""Canvas of the figures: sizes, colours, axes and titles."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

Board = Mapping[str, Any]
WIDTH, DPI = 4.6, 174  # inches and pixels per inch; narrow, so that the text can be read on a phone
# Okabe and Ito's colours, which colour-blind people can tell apart; the markers tell the next eight methods apart.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#141414", "#8c6d1f")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PAPER, INK, GRID, GREY, FAINT = "#ffffff", "#3a423d", "#e3e3e3", "#8c8c8c", "#c9c9c9"
STYLE = {
    "font.size": 9.5,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.minor.size": 0,
    "text.parse_math": False,  # names are names
    "svg.hashsalt": "zstar",  # the same board gives the same file
    "svg.fonttype": "none",
}
COST_LABELS = {"seconds": "seconds per image", "evaluations": "evaluations of the generator per image"}


def appearance(board: Board) -> dict[str, tuple[str, str]]:
    """Method → colour and marker; a combination repeats after 56 methods."""
    methods = sorted({row["method"] for row in board["rows"]})
    return {name: (COLORS[i % len(COLORS)], MARKERS[i // 8 % len(MARKERS)]) for i, name in enumerate(methods)}


def dark(color: str) -> tuple[float, float, float]:
    """The colour for text, which needs more contrast."""
    red, green, blue = to_rgb(color)
    return (0.72 * red, 0.72 * green, 0.72 * blue)


def stacked(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels below each other, each ``height`` inches high."""
    figure = Figure(figsize=(WIDTH, height * count + 0.7), dpi=DPI, layout="constrained")
    return figure, list(figure.subplots(count, 1, squeeze=False).ravel())


def add_title(figure: Figure, board: Board, text: str, marks: Mapping[str, Artist] | None = None) -> None:
    """Write protocol, numbers of images and seeds, an explanation, and what ``marks`` stand for, above a figure."""
    protocol = board["protocol"]
    name = " ".join(filter(None, [protocol["name"] or "protocol", protocol["track"], protocol["hash"]]))
    counts = f"{protocol['images']} images, {protocol['seeds']} seed(s), {100 * board['level']:g} % intervals"
    room = int(14.8 * figure.get_figwidth())  # letters in a line
    lines = [line for part in (name, counts, text) for line in textwrap.wrap(part, room)]
    if marks:
        beneath = 1 - (0.06 + len(lines) * 0.15) / figure.get_figheight()  # a line is 0.15 inches high
        looks = {"ncols": len(marks), "frameon": False, "fontsize": 9, "columnspacing": 1.2, "handlelength": 1.5}
        place = {"loc": "upper left", "bbox_to_anchor": (0.0, beneath), "borderpad": 0, "borderaxespad": 0.2}
        figure.legend(marks.values(), marks.keys(), **looks, **place).set_in_layout(False)
        lines.append("")
    figure.suptitle("\n".join(lines), fontsize=9, ha="left", x=0.01)


def shorten(name: str, letters: int = 30) -> str:
    """A name of at most ``letters`` letters."""
    return name if len(name) <= letters else name[: letters - 1] + "…"


def scale_costs(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic x axis with plain numbers; a value of zero (no evaluation) stands at its left end."""
    positive = [value for value in values if value > 0]
    if not positive:
        return
    if len(positive) < len(values):
        axes.set_xscale("symlog", linthresh=min(positive), linscale=0.4)
        axes.set_xlim(left=-0.3 * min(positive))
    else:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(_round_numbers(positive, 1e2))
        if max(positive) == min(positive):
            axes.set_xlim(0.4 * positive[0], 2.5 * positive[0])
    _plain_numbers(axes.xaxis)


def scale_distances(axes: Axes, values: Sequence[float], better: str) -> None:
    """A logarithmic y axis for distances from the target that differ by large factors."""
    if better == "lower" and min(values) > 0 and max(values) / min(values) > 5:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(_round_numbers(values, 1e4))
        _plain_numbers(axes.yaxis)


def _round_numbers(values: Sequence[float], room: float) -> LogLocator:
    """Ticks of a logarithmic axis: one for a decade beyond a ratio of ``room``, more for smaller ratios."""
    ratio = max(values) / min(values)
    if ratio > room:
        return LogLocator(subs=(1.0,))
    if ratio > 4 or ratio == 1:
        return LogLocator(subs=(1.0, 2.0, 5.0))
    return LogLocator(
        subs=(1.0, 1.2, 1.5, 2.0, 2.5, *range(3, 10)) if ratio > 1.6 else np.arange(1.0, 10.0, 0.5).tolist()
    )


def _plain_numbers(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
