"""Files of the figures: quality against cost, reconstruction against editability, losses on the way, failures.

Each is written as PNG, 800 pixels wide, and as SVG, which the page embeds.
"""

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zstar.benchmark.figures.canvas import STYLE, Board
from zstar.benchmark.figures.curves import curves_figure
from zstar.benchmark.figures.failures import failures_figure
from zstar.benchmark.figures.scatter import cost_figure, editability_figure
from zstar.benchmark.figures.svg import adapt
from zstar.runs.folder import write_atomic, write_text

PANELS = ("lpips", "perceptual", "psnr", "kid")  # the metrics drawn by default, as far as they are measured


def write_figures(
    board: Board,
    folder: Path,
    images: Mapping[str, Mapping[str, Path]],
    targets: Mapping[str, Path],
    chosen: Sequence[str] | None = None,
) -> list[Path]:
    """Write the figures of a board that there are numbers for; returns the SVG files, with a PNG beside each.

    Arguments:
        folder: Folder of the board; the files go to ``figures`` in it.
        images: Row → image → PNG file of the reconstruction.
        targets: Image → PNG file of the target.
        chosen: Quality metrics to draw, one panel each; by default the perceptual one, PSNR and KID.
    """
    quality = [metric for metric in board["metrics"] if metric["name"] in board["pareto"]]
    names = chosen if chosen is not None else PANELS
    panels = [metric for metric in quality if metric["name"] in names] or quality[:1]
    with matplotlib.rc_context(STYLE):
        figures = {
            "pareto_seconds": cost_figure(board, panels, "seconds", "pareto"),
            "pareto_evaluations": cost_figure(board, panels, "evaluations", "pareto_evaluations"),
            "editability": editability_figure(board, panels),
            "trajectories_evaluations": curves_figure(board, "evaluations"),
            "trajectories_seconds": curves_figure(board, "seconds"),
            "failures": failures_figure(board, images, targets),
        }
        return [save(figure, folder / "figures" / name) for name, figure in figures.items() if figure is not None]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and SVG; returns the path of the SVG."""
    FigureCanvasAgg(figure).draw()
    figure.set_layout_engine("none")  # done, and the most expensive part
    write_atomic(path.with_suffix(".png"), lambda file: figure.savefig(file, format="png", dpi=figure.dpi))
    drawing = StringIO()
    figure.savefig(drawing, format="svg", metadata={"Date": None})
    text = adapt(drawing.getvalue(), path.name)
    return write_text(path.with_suffix(".svg"), text)
