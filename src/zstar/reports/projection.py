"""Report of a projection: one self-contained HTML page without scripts."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.paths import place, read_text
from zstar.images import enlarge, grid, write_png
from zstar.reports import charts
from zstar.reports.alternatives import find_alternatives
from zstar.reports.gallery import GAIN, SIZE, Section, sections
from zstar.reports.numbers import ARROWS, decimals, show
from zstar.reports.pages import template
from zstar.runs.folder import write_text
from zstar.runs.results import RESULTS_SCHEMA, START, TRAJECTORY, scan_rows, summarize
from zstar.stats.comparison import FEWEST

FAILURES_SHOWN = 200
OPTIONAL = dict.fromkeys(
    [
        "classes",
        "commit",
        "dirty",
        "failed",
        "metrics",
        "notices",
        "projectors",
        "seconds",
        "sets",
        "skipped_metrics",
        "steps",
    ]
    + ["version"]
)


def write_report(folder: str | Path, result: Mapping[str, Any] | None = None) -> Path:
    """Write ``report.html`` and ``trajectories.svg`` from what is in a run folder; at any time.

    Arguments:
        folder: A run folder with ``results.parquet``, ``config.yaml``, ``targets`` and ``reconstructions``, with
            ``observed`` where operators took something away of the targets, and with ``starts`` where the last
            projector of a chain started from the result of another.
        result: Content of ``result.json``; ``None`` to read it from the folder. Its key ``metrics``
            (name → ``{"unit": …, "better": "higher" | "lower"}``) is optional.

    Returns:
        The path of the report.
    """
    folder = place(folder)
    result = OPTIONAL | dict(result or json.loads(read_text(folder / "result.json")))
    results = scan_rows(folder / "results.parquet")
    values = results.filter(~TRAJECTORY).collect().select(*RESULTS_SCHEMA)
    failed, facts = result["failed"] or {}, result["metrics"] or {}
    table = summarize(values, failed)
    curves = trajectories(results)
    chain = result["projectors"] or result["method"].split("+")
    leading = next((row for row in table.to_dicts() if row["metric"] == "psnr"), next(iter(table.to_dicts()), None))
    config = folder / "config.yaml"
    page = template("projection.html.jinja").render(
        result=result,
        total=len({*values["image"], *failed}),
        leading=leading and numbers(leading, facts),
        sets=[set_numbers(name, estimate, facts) for name, estimate in (result["sets"] or {}).items()],
        rows=[numbers(row, facts) for row in table.to_dicts()],
        projectors=chain,
        few=FEWEST if leading and leading["n"] < FEWEST else 0,
        observed=(folder / "observed").is_dir(),
        start=chain[-2] if table["start"].is_not_null().any() else "",
        sections=pictures(folder, values, failed, leading["metric"], facts) if leading else [],
        alternatives=find_alternatives(folder, dict.fromkeys(values["image"])),
        distributions=list(distributions(values, table, failed)),
        curves=curves,
        classes={name: kind(found) for name, found in (result["classes"] or {}).items()},
        failed=list(failed.items())[:FAILURES_SHOWN],
        failures=len(failed),
        gain=GAIN,
        size=SIZE,
        style=charts.STYLE,
        config=read_text(config) if config.is_file() else "",
    )
    if curves:
        drawing = charts.stack([(curve["metric"], curve["svg"]) for curve in curves])
        write_text(folder / "trajectories.svg", drawing)
    return write_text(folder / "report.html", page)


def write_montage(
    path: str | Path,
    targets: Float[Tensor, "b c h w"],
    *made: Float[Tensor, "b c h w"],
    columns: int = 8,
) -> None:
    """Write a PNG in which each row of ``columns`` targets has what was made of them below it; images in [−1, 1].

    Small images are enlarged two or three times, pixel by pixel.
    """
    columns = min(columns, len(targets))
    rows = zip(*(images.cpu().split(columns) for images in (targets, *made)), strict=True)
    blank = targets.new_ones(-len(targets) % columns, *targets.shape[1:]).cpu()  # keeps the last group of rows apart
    tiles = torch.cat([part for group in rows for row in group for part in (row, blank[: columns - len(row)])])
    tiles = enlarge(tiles)
    write_png(path, grid(tiles, columns, gap=2 * tiles.shape[-1] // targets.shape[-1]))


def numbers(row: Mapping[str, Any], facts: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """A row of a summary with its numbers as text, and the unit and direction of its metric."""
    places = decimals(row["mean"], row["low"], row["high"])
    names = ("mean", "low", "high", "median", "p5", "p95", "start", "start_low", "start_high")
    return {**row, **{name: show(row[name], places) for name in names}, "places": places, **about(row["metric"], facts)}


def set_numbers(name: str, estimate: Mapping[str, float], facts: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """A number of all images together, and its interval, as text."""
    places = decimals(estimate["value"], estimate["low"], estimate["high"])
    texts = {key: show(estimate[key], places) for key in ("value", "low", "high")}
    return {"metric": name, **texts, **about(name, facts)}


def about(metric: str, facts: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Unit and direction of a metric, as far as they are known."""
    known = facts.get(metric, {})
    unit = known.get("unit") or {"psnr": "dB", "seconds": "s"}.get(metric, "")
    return {"unit": unit, "arrow": ARROWS.get(known.get("better", ""), "")}


def pictures(
    folder: Path, values: pl.DataFrame, failed: Iterable[str], metric: str, facts: Mapping[str, Mapping[str, str]]
) -> list[Section]:
    """The sections with pictures, chosen by ``metric``, for the template."""
    higher = facts.get(metric, {}).get("better", "higher" if metric == "psnr" else "lower") == "higher"
    starts = per_image(values, failed, START + metric)
    return sections(folder, per_image(values, failed, metric), metric, higher, starts)


def kind(found: Mapping[str, float]) -> str:
    """The class of an image in words, with its share where it is a mixture."""
    whole = found["share"] > 0.995
    return f"class {found['class']}" if whole else f"class {found['class']} ({found['share']:.0%})"


def per_image(values: pl.DataFrame, failed: Iterable[str], metric: str) -> dict[str, float]:
    """Image → value of a metric, for those that have one and did not fail, in the order of the data set."""
    kept = values.filter((pl.col("metric") == metric) & ~pl.col("image").is_in(list(failed)))
    means = kept.group_by("image", maintain_order=True).agg(pl.col("value").mean()).drop_nulls().drop_nans()
    return dict(means.iter_rows())


def distributions(results: pl.DataFrame, table: pl.DataFrame, failed: Iterable[str]) -> Iterable[dict[str, str]]:
    """A histogram for each metric, or the one value that all images share."""
    for row in table.to_dicts():
        values = np.array(list(per_image(results, failed, row["metric"]).values()))
        finite = values[np.isfinite(values)]
        note = f"{len(values) - len(finite)} infinite values are not drawn" if len(finite) < len(values) else ""
        if not len(finite):
            continue
        if finite.min() == finite.max():
            text = show(float(finite[0]), decimals(float(finite[0]), None, None))
            yield {"metric": row["metric"], "svg": "", "note": f"{text} for every image"}
            continue
        label = f"distribution of {row['metric']} over {len(values)} images"
        svg = charts.histogram(finite, row["mean"], (row["low"], row["high"]), label)
        yield {"metric": row["metric"], "svg": svg, "note": note}


def trajectories(results: pl.LazyFrame) -> list[dict[str, str]]:
    """A curve over the steps for each ``loss/…``: median, and 5th to 95th percentile over the images at that step."""
    value, names = pl.col("value"), results.select(pl.col("metric").unique()).collect()["metric"]
    curves = []
    for name in sorted(name for name in names if name.startswith("loss/")):  # one at a time, to be sparing with memory
        rows = results.filter((pl.col("metric") == name) & value.is_finite()).select("step", "value")
        bands = rows.group_by("step").agg(median=value.median(), low=value.quantile(0.05), high=value.quantile(0.95))
        steps = bands.sort("step").collect(engine="streaming")
        if steps.height > 1:
            columns = (steps[column].to_numpy().astype(float) for column in ("step", "median", "low", "high"))
            title, last, end = name.removeprefix("loss/"), steps["step"][-1], steps["median"][-1]
            svg = charts.curve(*columns, f"{title} over {last} steps")
            curves.append({"metric": title, "svg": svg, "note": f"median {end:.4g} at step {last}"})
    return sorted(curves, key=lambda entry: entry["metric"] != "total")
