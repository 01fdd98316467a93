"""Results in long format → summaries with intervals. The numbers of every table come from here."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from zstar.config.paths import utf8_name
from zstar.runs.folder import write_atomic
from zstar.stats.bootstrap import describe
from zstar.stats.comparison import mean_intervals

RESULTS_SCHEMA = {
    "protocol_hash": pl.String,
    "method": pl.String,
    "space": pl.String,
    "image": pl.String,
    "seed": pl.Int64,
    "step": pl.Int64,
    "metric": pl.String,
    "value": pl.Float64,
    "seconds": pl.Float64,
}
"""Columns of ``results.parquet``: one row per image, seed, step and metric.

A metric with a slash in its name is a value on the way: ``loss/pixel`` at each step, ``start/psnr`` where the last
projector of a chain took over. Any other is a final value, its step the number of steps done. Null or NaN stands for an
image that was tried and has no number; the metric ``failed`` names an image that has no result at all.
"""

FAILED = "failed"
START = "start/"
TRAJECTORY = pl.col("metric").str.starts_with("loss/")
CELL = ["protocol_hash", "method", "space"]
RUN = [*CELL, "image", "seed"]
SUMMARY_SCHEMA = (
    dict.fromkeys([*CELL, "metric"], pl.String)
    | dict.fromkeys(["seeds", "n", "failures", "excluded"], pl.Int64)
    | dict.fromkeys(["mean", "low", "high", "median", "p5", "p95"], pl.Float64)
)
START_COLUMNS = {"start": "mean", "start_low": "low", "start_high": "high"}


def scan_rows(path: Path) -> pl.LazyFrame:
    """The rows of a parquet file, read when they are needed; brackets and stars in its name are letters."""
    return pl.scan_parquet(utf8_name(path), glob=False, hive_partitioning=False)


def write_rows(path: Path, rows: pl.DataFrame | pl.LazyFrame) -> Path:
    """Write rows as parquet, atomically; lazy ones without having all of them in memory."""
    return write_atomic(path, lambda file: rows.lazy().sink_parquet(utf8_name(file)))


def failure_rows(failed: Mapping[str, str], protocol_hash: str, method: str, space: str, seed: int) -> pl.DataFrame:
    """Rows for ``results.parquet`` that name the images without a result, so that every later table counts them."""
    same = {"protocol_hash": protocol_hash, "method": method, "space": space, "seed": seed, "step": 0}
    rows = [{**same, "image": image, "metric": FAILED, "value": None, "seconds": None} for image in failed]
    return pl.DataFrame(rows, schema=RESULTS_SCHEMA)


def summarize(
    results: pl.DataFrame,
    failed: Mapping[str, str] | None = None,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> pl.DataFrame:
    """Table of final values: one row per protocol, method, space and metric, in the order in which they appear.

    The unit is the image: the values of several seeds are averaged first, and images are resampled for the interval.

    Arguments:
        results: Rows as in ``RESULTS_SCHEMA``; trajectories are left out.
        failed: Image → reason, for images without a result that no row of ``results`` names.
        level, draws, seed: As in :func:`~zstar.stats.comparison.mean_interval`.

    Returns:
        ``n`` images that have a number, from ``seeds`` seeds; ``failures`` and ``excluded`` count the pairs of image
        and seed that were tried in vain, and those for which the metric is not defined; then the ``mean`` of the images
        with its interval from ``low`` to ``high``, their ``median``, and their 5th and 95th percentile ``p5``, ``p95``;
        ``start`` with ``start_low`` and ``start_high`` is the mean that the last projector of a chain started from,
        null where that says nothing about the images.
    """
    results = results.select(*RESULTS_SCHEMA).cast(RESULTS_SCHEMA)
    for labels in results.select(*CELL, "seed").unique(maintain_order=True).to_dicts() if failed else []:
        results = pl.concat([results, failure_rows(failed or {}, **labels)])
    table, metric = _summary(results, level, draws, seed), pl.col("metric")
    starts = results.filter(metric.str.starts_with(START) | (metric == FAILED))
    starts = _summary(starts.with_columns(metric.str.strip_prefix(START)), level, draws, seed)
    starts = starts.select(*CELL, "metric", **START_COLUMNS)
    return table.join(starts, on=[*CELL, "metric"], how="left", maintain_order="left")


def _summary(results: pl.DataFrame, level: float, draws: int, seed: int) -> pl.DataFrame:
    lost = results.filter(pl.col("metric") == FAILED).unique(RUN)
    lost_counts, tried_counts = _counts(lost), _counts(results.unique(RUN))
    rows, samples = [], []
    final = _final(results).join(lost, on=RUN, how="anti", maintain_order="left")
    for labels, group in final.group_by([*CELL, "metric"], maintain_order=True):
        names = dict(zip([*CELL, "metric"], labels, strict=True))
        cell = labels[: len(CELL)]
        fine = group.filter(pl.col("value").is_not_null() & pl.col("value").is_not_nan())
        failures = lost_counts.get(cell, 0) + group.height - fine.height
        excluded = tried_counts[cell] - fine.height - failures
        values = fine.group_by("image", maintain_order=True).agg(pl.col("value").mean())["value"].to_numpy()
        samples.append(values)
        counts = {"seeds": group["seed"].n_unique(), "failures": failures, "excluded": excluded}
        rows.append({**names, **counts, **describe(values)})
    ends = mean_intervals(samples, level, draws, seed)
    rows = [{**row, "low": low, "high": high} for row, (low, high) in zip(rows, ends, strict=True)]
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA)


def _counts(runs: pl.DataFrame) -> dict[tuple[str, ...], int]:
    """Pairs of image and seed for each protocol, method and space."""
    return {tuple(labels): count for *labels, count in runs.group_by(CELL).len().iter_rows()}


def _final(results: pl.DataFrame) -> pl.DataFrame:
    """The last value of every metric that is no trajectory, once per image and seed."""
    final = results.filter((pl.col("metric") != FAILED) & ~pl.col("metric").str.contains("/"))
    final = final.filter(pl.col("step") == pl.col("step").max().over(*RUN, "metric"))
    return final.unique([*RUN, "metric"], keep="last", maintain_order=True)
