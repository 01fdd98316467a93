"""Results in long format → tables with intervals. The numbers in a table are derived here and never typed."""

from collections.abc import Mapping

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zstar.statistics import bootstrap_interval, decimals, describe, show

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
        level, draws, seed: As in :func:`~zstar.statistics.bootstrap_interval`.

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
    tried = results.unique(RUN)
    rows = []
    final = _final(results).join(lost, on=RUN, how="anti", maintain_order="left")
    for labels, group in final.group_by([*CELL, "metric"], maintain_order=True):
        names = dict(zip([*CELL, "metric"], labels, strict=True))
        same = pl.all_horizontal(pl.col(name) == names[name] for name in CELL)
        fine = group.filter(pl.col("value").is_not_null() & pl.col("value").is_not_nan())
        failures = lost.filter(same).height + group.height - fine.height
        excluded = tried.filter(same).height - fine.height - failures
        values = fine.group_by("image", maintain_order=True).agg(pl.col("value").mean())["value"].to_numpy()
        low, high = bootstrap_interval(values, level, draws, seed)
        counts = {"seeds": group["seed"].n_unique(), "failures": failures, "excluded": excluded}
        rows.append({**names, **counts, **describe(values), "low": low, "high": high})
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA)


def _final(results: pl.DataFrame) -> pl.DataFrame:
    """The last value of every metric that is no trajectory, once per image and seed."""
    final = results.filter((pl.col("metric") != FAILED) & ~pl.col("metric").str.contains("/"))
    final = final.filter(pl.col("step") == pl.col("step").max().over(*RUN, "metric"))
    return final.unique([*RUN, "metric"], keep="last", maintain_order=True)


def print_table(results: pl.DataFrame, failed: Mapping[str, str] | None = None, console: Console | None = None) -> None:
    """Print results in long format, or the table that :func:`summarize` made of them, in the terminal.

    What is the same in all rows (method, space, seeds) stands in the title. The start of a chain, where there is
    one, takes the place of the median.
    """
    table = results if "mean" in results.columns else summarize(results, failed)
    shared = [name for name in ("method", "space", "seeds", "protocol_hash") if table[name].n_unique() == 1]
    headers = {"n": "N", "failures": "failed"}
    words = {"method": "{}", "space": "in {}", "seeds": "{} seed(s)", "protocol_hash": "protocol {}"}
    left = [name for name in CELL if name not in shared] + ["metric"]
    right = ["n", *(["seeds"] if "seeds" not in shared else [])]
    right += [name for name in ("failures", "excluded") if (table[name].max() or 0) > 0]
    title = escape(", ".join(words[name].format(table[name][0]) for name in shared))
    printed = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    started = table["start"].is_not_null().any()
    between = ["start", "mean", "95 % interval", "5–95 %"] if started else ["mean", "95 % interval", "median", "5–95 %"]
    for name in [*left, *between, *right]:
        justify = "left" if name in left else "right"
        printed.add_column(headers.get(name, name), justify=justify, no_wrap=name not in CELL)
    for row in table.to_dicts():
        places = decimals(row["mean"], row["low"], row["high"])
        text = {name: show(row[name], places) for name in ("start", "mean", "low", "high", "median", "p5", "p95")}
        text |= {"95 % interval": "{low} – {high}".format(**text), "5–95 %": "{p5} – {p95}".format(**text)}
        numbers = (text[name] for name in between)
        printed.add_row(*(escape(row[name]) for name in left), *numbers, *(str(row[name]) for name in right))
    (console or Console()).print(printed)
