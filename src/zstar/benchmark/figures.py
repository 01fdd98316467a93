"""The figures of a leaderboard: quality against cost, reconstruction against editability, losses on the way, failures.

Each is written as SVG and as PNG, 800 pixels wide.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from zstar.benchmark.label_placement import Label, place_labels
from zstar.benchmark.tables import heading
from zstar.reports.gallery import GAIN
from zstar.runs.folder import write_atomic

Board = Mapping[str, Any]
Points = dict[str, tuple[float, float]]
WIDTH, DPI = 8.0, 100
# Okabe and Ito's colours, which colour-blind people can tell apart; the markers tell the next eight methods apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#8c8c8c"
STYLE = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.minor.size": 0,
    "svg.hashsalt": "zstar",  # the same board gives the same file
    "svg.fonttype": "none",
}
SHOWN = ("lpips", "perceptual", "psnr", "kid")  # panels, as far as they are there, if nobody chose others


def write_figures(
    board: Board,
    folder: Path,
    images: Mapping[str, Mapping[str, Path]],
    targets: Mapping[str, Path],
    chosen: Sequence[str] | None = None,
) -> list[Path]:
    """Write the figures of a board that there are numbers for; returns the PNG files.

    Arguments:
        folder: Where ``figures`` lies.
        images: Row → image → PNG file of the reconstruction.
        targets: Image → PNG file of the target.
        chosen: Quality metrics to draw, one panel each; by default the perceptual one, PSNR and KID.
    """
    quality = [metric for metric in board["metrics"] if metric["name"] in board["pareto"]]
    names = chosen if chosen is not None else SHOWN
    panels = [metric for metric in quality if metric["name"] in names] or quality[:1]
    with matplotlib.rc_context(STYLE):
        figures = {
            "pareto_seconds": cost_figure(board, panels, "seconds", "pareto"),
            "pareto_evaluations": cost_figure(board, panels, "evaluations", "pareto_evaluations"),
            "editability": editability_figure(board, panels),
            "trajectories_evaluations": curves_figure(board, "evaluations"),
            "trajectories_seconds": curves_figure(board, "seconds"),
            "failures": gallery_figure(board, images, targets),
        }
        return [save(figure, folder / "figures" / name) for name, figure in figures.items() if figure is not None]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as SVG and PNG."""
    FigureCanvasAgg(figure).draw()
    figure.set_layout_engine("none")  # done, and what takes longest
    write_atomic(path.with_suffix(".svg"), lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))
    return write_atomic(path.with_suffix(".png"), lambda file: figure.savefig(file, format="png", dpi=DPI))


def looks(board: Board) -> dict[str, tuple[str, str]]:
    """Method → colour and marker; a combination repeats after 56 methods."""
    methods = sorted({row["method"] for row in board["rows"]})
    return {name: (COLORS[i % len(COLORS)], MARKERS[i // 8 % len(MARKERS)]) for i, name in enumerate(methods)}


def cost_figure(board: Board, metrics: Sequence[Mapping[str, str]], cost: str, front: str) -> Figure | None:
    """Quality against cost: rows that no other beats in colour, the others grey, budgets of a method joined."""
    points = {metric["name"]: _points(board, cost, metric["name"]) for metric in metrics}
    panels = [metric for metric in metrics if len(points[metric["name"]]) > 0]
    if not panels:
        return None
    figure, every = _panels(len(panels), 4.3)
    words = {"seconds": "seconds per image", "evaluations": "evaluations of the generator per image"}
    for axes, metric in zip(every, panels, strict=True):
        own = points[metric["name"]]
        _scatter(axes, board, own, {name for name in board[front][metric["name"]] if name in own}, metric["name"])
        axes.set_xlabel(words[cost])
        axes.set_ylabel(heading(metric))
        _logarithmic(axes, [x for x, _ in own.values()])
        _spread(axes, [y for _, y in own.values()], metric["better"])
    _title(figure, board, "In colour: no other row is at least as good at no higher a cost. Bars: intervals.")
    _label(figure, board, every, [points[metric["name"]] for metric in panels])
    return figure


def editability_figure(board: Board, metrics: Sequence[Mapping[str, str]]) -> Figure | None:
    """Reconstruction against what else an edit changes, with intervals of both."""
    known = {metric["name"]: metric for metric in board["metrics"]}
    if "leakage" not in known:
        return None
    points = {metric["name"]: _points(board, "leakage", metric["name"]) for metric in metrics}
    panels = [metric for metric in metrics if points[metric["name"]]]
    if not panels:
        return None
    figure, every = _panels(len(panels), 4.3)
    for axes, metric in zip(every, panels, strict=True):
        own = points[metric["name"]]
        _scatter(axes, board, own, set(own), metric["name"], "leakage")
        axes.set_xlabel(heading(known["leakage"]) + ": change of all other factors at a fixed effect")
        axes.set_ylabel(heading(metric))
        _spread(axes, [y for _, y in own.values()], metric["better"])
    _title(figure, board, "Bars: intervals. Budgets of a method are joined.")
    _label(figure, board, every, [points[metric["name"]] for metric in panels])
    return figure


def curves_figure(board: Board, cost: str) -> Figure | None:
    """Losses on the way: a panel for each method, median and middle half of the images, with the others in grey."""
    last = {row["method"]: row["id"] for row in board["rows"] if row["id"] in board["curves"]}
    for row in board["rows"]:  # of a method's rows the one that went on longest
        if row["id"] in board["curves"]:
            kept, own = (board["curves"][name]["evaluations"][-1] for name in (last[row["method"]], row["id"]))
            last[row["method"]] = row["id"] if own > kept else last[row["method"]]
    if not last:
        return None
    count = min(3, len(last))
    rows = -(-len(last) // count)
    figure = Figure(figsize=(WIDTH, 2.1 * rows + 0.9), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, count, sharex=True, sharey=True, squeeze=False).ravel()
    look = looks(board)
    for axes, (method, name) in zip(grid, last.items(), strict=False):
        for other in last.values():
            curve = board["curves"][other]
            if other != name:
                axes.plot(curve[cost][1:], curve["median"][1:], color="#c9c9c9", lw=0.8, zorder=1)
        curve, color = board["curves"][name], look[method][0]
        axes.fill_between(curve[cost][1:], curve["low"][1:], curve["high"][1:], color=color, alpha=0.25, lw=0)
        axes.plot(curve[cost][1:], curve["median"][1:], color=color, lw=1.6)
        axes.set_title(name, fontsize=9, color=_dark(color), loc="left")
    for axes in grid[len(last) :]:
        axes.remove()
    for axes in grid[max(len(last) - count, 0) : len(last)]:
        axes.tick_params(labelbottom=True)  # the lowest of its column
    values = [v for name in last.values() for v in board["curves"][name]["low"] + board["curves"][name]["high"]]
    _spread(grid[0], values, "lower")
    _logarithmic(grid[0], [x for name in last.values() for x in board["curves"][name][cost][1:]])
    figure.supxlabel({"seconds": "seconds per image", "evaluations": "evaluations per image"}[cost], fontsize=9.5)
    figure.supylabel(next(iter(board["curves"].values()))["metric"], fontsize=9.5)
    _title(figure, board, f"Median and middle half of the images. {board['curves_note']}")
    return figure


def gallery_figure(
    board: Board, images: Mapping[str, Mapping[str, Path]], targets: Mapping[str, Path]
) -> Figure | None:
    """The failures that the board names: target, reconstruction, and their difference."""
    shown = [e for e in board["gallery"] if e["image"] in images.get(e["row"], {}) and e["image"] in targets]
    if not shown:
        return None
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(WIDTH, 1.12 * rows + 0.75), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, entry in zip(grid, shown, strict=False):
        axes.imshow(strip(targets[entry["image"]], images[entry["row"]][entry["image"]]))
        name = entry["row"] if len(entry["row"]) <= 30 else entry["row"][:29] + "…"
        axes.set_title(f"{name}\n{entry['image'][-24:]}: {entry['value']:.4g}", fontsize=7, loc="left", pad=2)
    title = next((m["title"] for m in board["metrics"] if m["name"] == shown[0]["metric"]), shown[0]["metric"])
    explained = f"Target, reconstruction, {GAIN} × difference; the number is {title}."
    _title(figure, board, f"{board['gallery_rule']} {explained}")
    return figure


def strip(target: Path, made: Path) -> np.ndarray:
    """Target, reconstruction and amplified difference side by side, at least 128 pixels high."""
    pictures = [Image.open(path).convert("RGB") for path in (target, made)]
    size = pictures[0].size
    arrays = [np.asarray(picture.resize(size), dtype=np.int16) for picture in pictures]
    arrays.append((np.abs(arrays[0] - arrays[1]) * GAIN).clip(0, 255))
    return np.concatenate(arrays, axis=1).astype(np.uint8)


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _points(board: Board, x: str, y: str) -> Points:
    """Row → its two means, where both are there and finite."""
    found = {}
    for row in board["rows"]:
        pair = tuple((row["values"].get(name) or {}).get("mean") for name in (x, y))
        if all(value is not None and math.isfinite(value) for value in pair):
            found[row["id"]] = pair
    return found


def _scatter(axes: Axes, board: Board, points: Points, front: set[str], y: str, x: str | None = None) -> None:
    """Points with the intervals of ``y`` (and of ``x``), those of a method and space joined by a line."""
    look = looks(board)
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in board["rows"]:
        if row["id"] not in points:
            continue
        color, marker = look[row["method"]]
        color = color if row["id"] in front else GREY
        px, py = points[row["id"]]
        lines.setdefault((row["method"], row["space"]), []).append((px, py))
        if span := _span(row["values"][y]):
            axes.plot([px, px], span, color=color, lw=1, zorder=2.5)
        if x is not None and (span := _span(row["values"][x])):
            axes.plot(span, [py, py], color=color, lw=1, zorder=2.5)
        alpha = 1.0 if row["id"] in front else 0.75
        axes.plot(px, py, marker, color=color, markersize=5.5, alpha=alpha, zorder=3)
    for (method, _), path in lines.items():
        if len(path) > 1:
            axes.plot(*zip(*sorted(path), strict=True), color=look[method][0], lw=0.8, alpha=0.45, zorder=2)


def _span(entry: Mapping[str, Any]) -> list[float] | None:
    """Both ends of an interval, where there is one."""
    ends = [entry["low"], entry["high"]]
    return None if any(end is None or not math.isfinite(end) for end in ends) else ends


def _logarithmic(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers; a value of zero (no evaluation) stands at its left end."""
    positive = [value for value in values if value > 0]
    if not positive:
        return
    if len(positive) < len(values):
        axes.set_xscale("symlog", linthresh=min(positive), linscale=0.4)
        axes.set_xlim(left=-0.3 * min(positive))
    else:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(_round_numbers(positive, 1e2))
    _plain_numbers(axes.xaxis)


def _spread(axes: Axes, values: Sequence[float], better: str) -> None:
    """Distances from the target differ by factors: a logarithmic axis where they do so a lot."""
    if better == "lower" and min(values) > 0 and max(values) / min(values) > 5:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(_round_numbers(values, 1e4))
        _plain_numbers(axes.yaxis)


def _round_numbers(values: Sequence[float], room: float) -> LogLocator:
    """Where a logarithmic axis has its numbers; beyond a ratio of ``room`` it has but one for a decade."""
    ratio = max(values) / min(values)
    if ratio > room:
        return LogLocator(subs=(1.0,))
    return LogLocator(subs=(1.0, 2.0, 5.0) if ratio > 5 else np.arange(1.0, 10.0, 0.5).tolist())


def _plain_numbers(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH, height * count + 0.5), dpi=DPI, layout="constrained")
    return figure, list(figure.subplots(count, 1, squeeze=False).ravel())


def _label(figure: Figure, board: Board, every: Sequence[Axes], points: Sequence[Points]) -> None:
    """Name each method once per panel, at its best row; rows that only a number tells apart need no more."""
    FigureCanvasAgg(figure).draw()  # limits and sizes are final from here on
    figure.set_layout_engine("none")
    look, named = looks(board), {}
    for row in reversed(board["rows"]):
        named[row["method"], row["space"]] = row["id"]
    spaces = {method: len({space for m, space in named if m == method}) for method, _ in named}
    for axes, own in zip(every, points, strict=True):
        labels, done = [], set()
        for row in board["rows"]:
            key = (row["method"], row["space"])
            if row["id"] not in own or key in done:
                continue
            done.add(key)
            text = row["method"] + (f" ({row['space']})" if spaces[row["method"]] > 1 else "")
            labels.append(Label(text, *own[row["id"]], _dark(look[row["method"]][0])))
        place_labels(
            axes, labels, list(own.values()), [line.get_path() for line in axes.lines if len(line.get_xdata()) > 1]
        )


def _dark(color: str) -> tuple[float, float, float]:
    """The colour as one for text, which needs more contrast."""
    red, green, blue = to_rgb(color)
    return (0.72 * red, 0.72 * green, 0.72 * blue)


def _title(figure: Figure, board: Board, text: str) -> None:
    protocol = board["protocol"]
    where = " ".join(filter(None, [protocol["name"] or "protocol", protocol["track"], protocol["hash"]]))
    counts = f"{protocol['images']} images, {protocol['seeds']} seed(s), {100 * board['level']:g} % intervals"
    lines = [f"{where}: {counts}", *textwrap.wrap(text, 108)]
    figure.suptitle("\n".join(lines), fontsize=9, ha="left", x=0.01)
