"""What a projection shows and tells its logger: mean trajectories, one grid of pictures, a row per image, a summary."""

from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from zstar.benchmark import FAILED
from zstar.images import grid, read_image
from zstar.loggers.base import AbstractLogger
from zstar.report import write_montage
from zstar.runs import safe_name

SHOWN = 16  # images in the grid
TABLED = 256  # images with a picture in the table; the numbers of all are in results.parquet


def log_result(
    logger: AbstractLogger,
    rows: pl.LazyFrame,
    finals: pl.DataFrame,
    result: dict[str, Any],
    folder: Path,
    size: tuple[int, int],
) -> None:
    """Write ``montage.png`` and send a finished projection to the logger.

    Arguments:
        logger: A started logger.
        rows: Everything in ``results.parquet``; trajectories are averaged over the images.
        finals: Its final values.
        result: The content of ``result.json``.
        folder: The run's folder.
        size: Resolution and channels of its images.
    """
    losses = rows.filter(pl.col("metric").str.contains("/"))
    means = losses.group_by("step", "metric").agg(pl.col("value").mean()).sort("step").collect()
    for (step,), part in means.group_by("step", maintain_order=True):
        logger.metrics(dict(zip(part["metric"], part["value"], strict=True)), int(step))
    finals = finals.filter(pl.col("metric") != FAILED)
    if finals.is_empty():
        return
    wide = finals.pivot(on="metric", index="image", values="value", aggregate_function="first")
    shown = [pictures(folder, name, size) for name in wide["image"].to_list()[:SHOWN]]
    targets, made = (torch.stack(list(kind)) for kind in zip(*shown, strict=True))
    write_montage(folder / "montage.png", targets, made)
    pairs = torch.stack([targets, made], dim=1).flatten(0, 1)
    logger.images("reconstructions", grid(pairs, min(16, len(pairs))), int(finals["step"].max() or 0))
    cells = [
        [row["image"], *pictures(folder, row["image"], size), *list(row.values())[1:]]
        for row in wide[:TABLED].to_dicts()
    ]
    logger.table("images", ["image", "target", "reconstruction", *wide.columns[1:]], cells)
    logger.summary(
        {f"{name}/{key}": row[key] for name, row in result["summary"].items() for key in ("mean", "low", "high")}
    )


def pictures(folder: Path, name: str, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Target and reconstruction of an image as the run wrote them, ``[c, h, w]`` in [−1, 1]."""
    file = f"{safe_name(name)}.png"
    target, made = (read_image(folder / kind / file, *size) for kind in ("targets", "reconstructions"))
    return target, made
