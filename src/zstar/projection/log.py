"""Log of a projection: running means, mean trajectories, one grid of pictures, a row per image, a summary."""

from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from zstar.data.reading import read_image
from zstar.images import grid, shrink
from zstar.loggers.base import AbstractLogger
from zstar.reports.projection import write_montage
from zstar.runs.folder import safe_name
from zstar.runs.results import FAILED, TRAJECTORY
from zstar.runs.threads import read_all

SHOWN = 16  # images in the grid
TABLED = 256  # images with a picture in the table; the numbers of all are in results.parquet
LARGEST = 256  # pixels of a picture in either; the run's folder has them as they are
FOLLOWED = 64  # images whose trajectories are in a table


class Running:
    """The means of the final values so far, logged after each batch over the number of images.

    Arguments:
        logger: A started logger.
    """

    def __init__(self, logger: AbstractLogger) -> None:
        self.logger, self.images = logger, 0
        self.sums: dict[str, tuple[float, int]] = {}
        logger.metrics({"running/images": 0.0}, 0)  # all that an earlier process has logged comes again

    def add(self, rows: pl.DataFrame) -> None:
        """One batch more."""
        self.images += rows["image"].n_unique()
        for metric, total, count in means_of(rows).iter_rows():
            before, number = self.sums.get(metric, (0.0, 0))
            self.sums[metric] = (before + total, number + count)
        means = {f"running/{name}": total / count for name, (total, count) in self.sums.items()}
        self.logger.metrics({"running/images": float(self.images), **means}, self.images)


def means_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Metric, sum and number of the final values that are finite."""
    final = ~pl.col("metric").str.contains("/") & (pl.col("metric") != FAILED) & pl.col("value").is_finite()
    return rows.filter(final).group_by("metric", maintain_order=True).agg(pl.col("value").sum(), pl.len())


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
        finals: All of it but the trajectories.
        result: The content of ``result.json``.
        folder: The run's folder.
        size: Resolution and channels of its images.
    """
    means = rows.filter(TRAJECTORY).group_by("step", "metric").agg(pl.col("value").mean()).sort("step").collect()
    for (step,), part in means.group_by("step", maintain_order=True):
        logger.metrics(dict(zip(part["metric"], part["value"], strict=True)), int(step))
    finals = finals.filter(pl.col("metric") != FAILED)
    if finals.is_empty():
        return
    wide = finals.pivot(on="metric", index="image", values="value", aggregate_function="first")
    kinds = kinds_of_pictures(folder)
    read = read_all(lambda name: pictures(folder, kinds, name, size), wide["image"].to_list()[:TABLED])
    stacks = [torch.stack(same) for same in zip(*read[:SHOWN], strict=True)]
    write_montage(folder / "montage.png", *stacks)
    side_by_side = torch.stack(stacks, dim=1).flatten(0, 1)
    columns = min(16 // len(kinds) * len(kinds), len(side_by_side))
    logger.images("reconstructions", grid(side_by_side, columns), int(finals["step"].max() or 0))
    cells = [
        [row["image"], *shown, *list(row.values())[1:]]
        for row, shown in zip(wide[:TABLED].to_dicts(), read, strict=True)
    ]
    logger.table("images", ["image", *(kind.removesuffix("s") for kind in kinds), *wide.columns[1:]], cells)
    followed = rows.filter(TRAJECTORY & pl.col("image").is_in(wide["image"].to_list()[:FOLLOWED])).collect()
    ways = followed.pivot(on="metric", index=["image", "step"], values="value", aggregate_function="first")
    logger.table("trajectories", ways.columns, ways.rows())
    keys = ["mean", "low", "high", *(["start"] if "starts" in kinds else [])]
    logger.summary({f"{name}/{key}": row[key] for name, row in result["summary"].items() for key in keys})


def kinds_of_pictures(folder: Path) -> list[str]:
    """The folders of a run that hold a picture of each image, in the order in which they are shown."""
    return [kind for kind in ("targets", "observed", "starts", "reconstructions") if (folder / kind).is_dir()]


def pictures(folder: Path, kinds: list[str], name: str, size: tuple[int, int]) -> list[Tensor]:
    """The pictures of an image as the run wrote them, large ones shrunk, each ``[c, h, w]`` in [−1, 1]."""
    read = (read_image(folder / kind / f"{safe_name(name)}.png", *size) for kind in kinds)
    return [shrink(image[None], LARGEST)[0] for image in read]
