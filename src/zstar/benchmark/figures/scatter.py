"""Scatter plots: quality against cost, and reconstruction against editability."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zstar.benchmark.columns import heading
from zstar.benchmark.figures.canvas import (
    COST_LABELS,
    GREY,
    Board,
    add_title,
    appearance,
    dark,
    scale_costs,
    scale_distances,
    stacked,
)
from zstar.benchmark.figures.label_placement import Label, place_labels

Points = dict[str, tuple[float, float]]
HEIGHT = 3.3  # of a panel, in inches


def cost_figure(board: Board, metrics: Sequence[Mapping[str, str]], cost: str, front: str) -> Figure | None:
    """Quality against cost: rows that no other beats in colour, the others grey, budgets of a method joined."""
    note = "In colour: no other row is at least as good at no higher a cost. Bars: intervals."
    return _scatter_figure(board, metrics, cost, COST_LABELS[cost], note, board[front])


def editability_figure(board: Board, metrics: Sequence[Mapping[str, str]]) -> Figure | None:
    """Reconstruction against leakage, the change that an edit makes besides its effect, with intervals of both."""
    leakage = next((metric for metric in board["metrics"] if metric["name"] == "leakage"), None)
    if leakage is None:
        return None
    label = f"{heading(leakage)}: change of all other factors at a fixed effect"
    return _scatter_figure(board, metrics, "leakage", label, "Bars: intervals. Budgets of a method are joined.")


def _scatter_figure(
    board: Board,
    metrics: Sequence[Mapping[str, str]],
    x: str,
    label: str,
    note: str,
    fronts: Mapping[str, Sequence[str]] | None = None,
) -> Figure | None:
    """A panel for each metric over ``x``, which is a cost if there are ``fronts``, else a metric with intervals."""
    points = {metric["name"]: own for metric in metrics if (own := _points(board, x, metric["name"]))}
    panels = [metric for metric in metrics if metric["name"] in points]
    if not panels:
        return None
    figure, every = stacked(len(panels), HEIGHT)
    for axes, metric in zip(every, panels, strict=True):
        name, own = metric["name"], points[metric["name"]]
        axes.set_gid(f"axes {x} {name}")
        axes.set_xlabel(label)
        axes.set_ylabel(heading(metric))
        if fronts is None:
            _scatter(axes, board, own, set(own), name, x)
        else:
            _scatter(axes, board, own, own.keys() & fronts[name], name)
            scale_costs(axes, [cost for cost, _ in own.values()])
        scale_distances(axes, [value for _, value in own.values()], metric["better"])
    add_title(figure, board, note)
    _label(figure, board, every, [points[metric["name"]] for metric in panels])
    return figure


def _points(board: Board, x: str, y: str) -> Points:
    """Row → its two means, where both are there and finite."""
    points = {}
    for row in board["rows"]:
        pair = tuple((row["values"].get(name) or {}).get("mean") for name in (x, y))
        if all(value is not None and math.isfinite(value) for value in pair):
            points[row["id"]] = pair
    return points


def _scatter(axes: Axes, board: Board, points: Points, front: set[str], y: str, x: str | None = None) -> None:
    """Points with the intervals of ``y`` (and of ``x``), those of a method and space joined by a line."""
    styles = appearance(board)
    lines: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    for row in board["rows"]:
        if row["id"] not in points:
            continue
        color, marker = styles[row["method"]]
        color = color if row["id"] in front else GREY
        px, py = points[row["id"]]
        lines.setdefault((row["method"], row["space"]), {})[row["id"]] = (px, py)
        if span := _span(row["values"][y]):
            axes.plot([px, px], span, color=color, lw=1, zorder=2.5, gid=f"bar {row['id']}")
        if x is not None and (span := _span(row["values"][x])):
            axes.plot(span, [py, py], color=color, lw=1, zorder=2.5, gid=f"bar {row['id']}")
        alpha = 1.0 if row["id"] in front else 0.75
        point = {"color": color, "markersize": 5.5, "alpha": alpha, "zorder": 3, "gid": f"point {row['id']}"}
        axes.plot(px, py, marker, **point)
    for (method, _), path in lines.items():
        if len(path) > 1:
            line = {
                "color": styles[method][0],
                "lw": 0.8,
                "alpha": 0.45,
                "zorder": 2,
                "gid": f"join {next(iter(path))}",
            }
            axes.plot(*zip(*sorted(path.values()), strict=True), **line)


def _span(entry: Mapping[str, Any]) -> list[float] | None:
    """Both ends of an interval, where there is one."""
    ends = [entry["low"], entry["high"]]
    return None if any(end is None or not math.isfinite(end) for end in ends) else ends


def _label(figure: Figure, board: Board, every: Sequence[Axes], points: Sequence[Points]) -> None:
    """Name each method once per panel, at its best row; rows that only a number tells apart need no more."""
    FigureCanvasAgg(figure).draw()  # limits and sizes are final from here on
    figure.set_layout_engine("none")
    styles, named = appearance(board), {}
    for row in reversed(board["rows"]):
        named[row["method"], row["space"]] = row["id"]
    spaces = {method: len({space for m, space in named if m == method}) for method, _ in named}
    for axes, own in zip(every, points, strict=True):
        labels, labelled = [], set()
        for row in board["rows"]:
            key = (row["method"], row["space"])
            if row["id"] not in own or key in labelled:
                continue
            labelled.add(key)
            text = row["method"] + (f" ({row['space']})" if spaces[row["method"]] > 1 else "")
            labels.append(Label(text, *own[row["id"]], dark(styles[row["method"]][0]), row["id"]))
        place_labels(
            axes, labels, list(own.values()), [line.get_path() for line in axes.lines if len(line.get_xdata()) > 1]
        )
