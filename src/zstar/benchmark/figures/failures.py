"""Figure of the failures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image

from zstar.benchmark.figures.canvas import Board, add_title, shorten
from zstar.reports.gallery import GAIN

WIDTH, DPI = 8.0, 100  # wider than the other figures, as its pictures need the room


def failures_figure(
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
        caption = f"{shorten(entry['row'])}\n{entry['image'][-24:]}: {entry['value']:.4g}"
        axes.set_title(caption, fontsize=7, loc="left", pad=2)
    title = next((m["title"] for m in board["metrics"] if m["name"] == shown[0]["metric"]), shown[0]["metric"])
    explanation = f"Target, reconstruction, {GAIN} × difference; the number is {title}."
    add_title(figure, board, f"{board['gallery_rule']} {explanation}")
    return figure


def strip(target: Path, reconstruction: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Target, reconstruction and amplified difference side by side, in the size of the target."""
    pictures = [Image.open(path).convert("RGB") for path in (target, reconstruction)]
    arrays = [np.asarray(picture.resize(pictures[0].size), dtype=np.int16) for picture in pictures]
    arrays.append((np.abs(arrays[0] - arrays[1]) * GAIN).clip(0, 255))
    return np.concatenate(arrays, axis=1).astype(np.uint8)
