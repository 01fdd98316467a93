"""Curves: losses over evaluations or seconds."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from zstar.benchmark.figures.canvas import (
    COST_LABELS,
    DPI,
    FAINT,
    INK,
    WIDTH,
    Board,
    add_title,
    appearance,
    dark,
    scale_costs,
    scale_distances,
    shorten,
)

COLUMNS = 2
MARKS = {
    "median": Line2D([], [], color=INK, lw=1.6),
    "middle half of the images": Patch(color=INK, alpha=0.25, lw=0),
    "other methods": Line2D([], [], color=FAINT, lw=0.8),
}


def curves_figure(board: Board, cost: str) -> Figure | None:
    """Losses over a cost: a panel for each method, median and middle half of the images, with the others in grey."""
    chosen = longest_rows(board)
    if not chosen:
        return None
    count = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // count)
    figure = Figure(figsize=(WIDTH, 1.6 * rows + 1.1), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, count, sharex=True, sharey=True, squeeze=False).ravel()
    styles = appearance(board)
    for axes, (method, name) in zip(grid, chosen.items(), strict=False):
        axes.set_gid(f"panel {name}")
        for other in chosen.values():
            curve = board["curves"][other]
            if other != name:
                axes.plot(curve[cost][1::2], curve["median"][1::2], color=FAINT, lw=0.8, zorder=1)
        curve, color = board["curves"][name], styles[method][0]
        axes.fill_between(curve[cost][1:], curve["low"][1:], curve["high"][1:], color=color, alpha=0.25, lw=0)
        axes.plot(curve[cost][1:], curve["median"][1:], color=color, lw=1.6)
        axes.set_title(shorten(name), fontsize=9, color=dark(color), loc="left")
    for axes in grid[len(chosen) :]:
        axes.remove()
    for axes in grid[max(len(chosen) - count, 0) : len(chosen)]:
        axes.tick_params(labelbottom=True)  # the lowest of its column
    values = [v for name in chosen.values() for v in board["curves"][name]["low"] + board["curves"][name]["high"]]
    scale_distances(grid[0], values, "lower")
    scale_costs(grid[0], [x for name in chosen.values() for x in board["curves"][name][cost][1:]])
    figure.supxlabel(COST_LABELS[cost], fontsize=9.5)
    figure.supylabel(next(iter(board["curves"].values()))["metric"], fontsize=9.5)
    add_title(figure, board, board["curves_note"], MARKS)
    return figure


def longest_rows(board: Board) -> dict[str, str]:
    """Method → the row with a curve that went on longest."""
    chosen: dict[str, str] = {}
    lengths = {name: curve["evaluations"][-1] for name, curve in board["curves"].items()}
    for row in (row for row in board["rows"] if row["id"] in lengths):
        kept = chosen.get(row["method"])
        if kept is None or lengths[row["id"]] > lengths[kept]:
            chosen[row["method"]] = row["id"]
    return chosen
