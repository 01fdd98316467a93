"""Trajectories of the losses: median and band over the images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from zstar.benchmark.discover import Run, failed_images
from zstar.benchmark.rows import Row
from zstar.runs.results import scan_rows

POINTS = 60
TOTAL = "loss/total"


def shared_objective(rows: Sequence[Row]) -> tuple[str, str]:
    """The loss whose trajectory is shown, and a sentence on how to read it.

    Losses are comparable where they are the same: the total where all rows minimise the same, else the first loss that
    all have with the same settings, else each method's own total.
    """
    losses, regularizers = ([row.runs[0].config.get(part) or {} for row in rows] for part in ("loss", "regularizer"))
    if all(same == losses[0] for same in losses):
        if all(same == regularizers[0] for same in regularizers):
            return TOTAL, "All methods minimise the same loss."
        words = "All methods minimise the same losses, and some a regularizer besides"
    else:
        words = "Methods minimise different losses"
    for name, settings in losses[0].items():
        if all(of.get(name) == settings for of in losses):
            return f"loss/{name}", f"{words}; shown is the loss '{name}', which is the same for all."
    return TOTAL, "Each method minimises a loss of its own: curves compare a method with itself, not with others."


def curve(row: Row, metric: str) -> dict[str, Any] | None:
    """Median and quartiles over images (and seeds) of a trajectory at 60 numbers of evaluations; ``None`` if none.

    An image that stopped keeps its last value, so that the band is over the same images everywhere. Evaluations and
    seconds of an image are taken to be spread evenly over its steps.
    """
    tracks = [track for run in row.runs for track in _tracks(run, metric)]
    most = max((evaluations[-1] for evaluations, *_ in tracks), default=0.0)
    if most < 2:
        return None
    grid = np.concatenate([[0.0], np.geomspace(1.0, most, POINTS - 1)])
    values = np.stack([np.interp(grid, evaluations, value) for evaluations, _, value in tracks])
    seconds = np.stack([np.interp(grid, evaluations, spent) for evaluations, spent, _ in tracks])
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    times = np.median(seconds, axis=0)
    lists = {"seconds": times, "evaluations": grid, "median": median, "low": low, "high": high}
    return {**{name: numbers.tolist() for name, numbers in lists.items()}, "metric": metric}


def _tracks(run: Run, metric: str) -> list[tuple[Float[np.ndarray, " t"], ...]]:
    """Evaluations, seconds and values on the way, for each image with at least two points."""
    rows = scan_rows(run.folder / "results.parquet").filter((pl.col("metric") == metric) & pl.col("value").is_finite())
    ends = run.values.filter(pl.col("metric") == "evaluations")
    evaluations = dict(ends.select("image", "value").iter_rows())
    frame = rows.select("image", "step", "value", "seconds").sort("image", "step", maintain_order=True).collect()
    start, failed = 0, failed_images(run)
    steps, values, seconds = (frame[name].to_numpy().astype(float) for name in ("step", "value", "seconds"))
    tracks = []
    for length, image in frame["image"].rle().struct.unnest().select("len", "value").iter_rows():
        part = slice(start, start + length)
        start += length
        if length > 1 and evaluations.get(image) and image not in failed:
            tracks.append((steps[part] / steps[part][-1] * evaluations[image], seconds[part], values[part]))
    return tracks
