"""The work of an editing run: pictures, latents, numbers and a report of projected images and their directions."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import torch
from omegaconf import OmegaConf

from zstar.directions.achieved import reach
from zstar.directions.base import AbstractDirection
from zstar.directions.library import save_directions
from zstar.editability.base import Traversal
from zstar.editing.films import animate, interpolate
from zstar.editing.job import EditJob
from zstar.editing.latents import save_inversion
from zstar.editing.mixing import mix
from zstar.editing.photos import Photos
from zstar.editing.pictures import draw
from zstar.loggers.base import AbstractLogger
from zstar.reports.editing import write_edit_report
from zstar.reports.numbers import show
from zstar.reports.progress import Progress
from zstar.runs.folder import command, commit, machine, record_result, versions, write_text
from zstar.runs.precision import exactly
from zstar.runs.results import write_rows
from zstar.runs.writers import Writers
from zstar.stats.comparison import mean_interval

WAITING = 8  # strips, for a thread to write them
SCHEMA = {"direction": pl.String, "image": pl.String, "metric": pl.String, "value": pl.Float64}


def carry_out(job: EditJob, folder: Path, plain: dict[str, Any], logger: AbstractLogger) -> dict[str, Any]:
    """Pictures, latents, numbers, report."""
    write_text(folder / "config.yaml", OmegaConf.to_yaml(plain))
    for name, reason in job.left_out.items():
        print(f"left out: {name}: {reason}")
    if job.pipeline.directions:
        save_directions(
            folder / "directions.safetensors", job.pipeline.directions, job.pipeline.generator, command=command()
        )
    if job.source is None:
        save_inversion(folder / "latents.safetensors", job.inversion, job.pipeline.generator)
    shown, paths, mixed = {}, [], None
    photos = None if job.originals is None else Photos(job, job.originals, folder)
    with Progress(parts(job), "parts", "editing") as progress, Writers(WAITING) as writers:

        def done(part: str) -> None:
            progress.update(progress.done + 1, part, mark=True)

        for sheet in job.sheets:
            picture, shown[sheet.name] = draw(job, sheet, folder, writers, photos)
            logger.images(sheet.name, picture, 0)
            done(f"{sheet.name}: strips")
            animate(job, sheet, folder, plain["frames"], plain["video"])
            done(f"{sheet.name}: film")
        for pair in job.pairs:
            paths.append(interpolate(job, pair, folder, plain, writers))
            done(paths[-1])
        if job.mixing:
            mixed = mix(job, folder)
            done("mixing")
        rows, silent = measure(job, plain["measured"], done)
    failed = {} if photos is None else photos.failed
    for name, reason in failed.items():
        print(f"no edit of the photo {name}: {reason}")
    for title in silent:
        print(f"not measured: {title}, of which it can say nothing here")
    write_rows(folder / "results.parquet", rows)
    result = describe(job, plain, rows, paths) | {"not_measured": silent, "mixing": mixed, "photos_failed": failed}
    flat = [(name, metric, *row.values()) for name, own in result["scores"].items() for metric, row in own.items()]
    if flat:
        logger.table("editability", ["direction", "metric", "mean", "low", "high", "n"], flat)
        logger.summary({f"{name}/{metric}": mean for name, metric, mean, *_ in flat})
    for name, metric, mean, low, high, count in flat:
        if metric.count("/") > 1:  # a single factor; the page has them all
            continue
        print(f"{name:20s} {metric:28s} {show(mean, 4):>8s}  [{show(low, 4)}, {show(high, 4)}]  {count}")
    write_edit_report(folder, result, shown)
    record_result(folder, result, ["report.html"])
    print(f"report: {folder}/report.html")
    return result


def parts(job: EditJob) -> int:
    """How many things there are to be done, for the progress."""
    measures = len(job.pipeline.directions) * len(job.pipeline.editability)
    return 2 * len(job.sheets) + len(job.pairs) + bool(job.mixing) + measures


@exactly()
def measure(
    job: EditJob, count: int, done: Callable[[str], None] = lambda part: None
) -> tuple[pl.DataFrame, list[str]]:
    """A row for each direction, image and thing measured, without an image where it is of all of them together; values
    that are not defined have none. And what says nothing of a direction. ``done`` hears of each thing."""
    rows: list[tuple[str, str | None, str, float]] = []
    silent: list[str] = []
    inversion = job.inversion
    v = {name: value[:count] for name, value in inversion.v.items()}
    for name, direction in job.pipeline.directions.items():
        alphas = torch.tensor(sorted(job.strengths[name]), device=inversion.latent.device)
        traversal = Traversal(name, direction, job.pipeline.generator, v, inversion.space, alphas, inversion.noise_mode)
        for title, one in job.pipeline.editability.items():
            measured = one(traversal)
            done(f"{name}: {title}")
            if not measured:
                silent.append(f"{title} of {name}")
            for metric, values in measured.items():
                images = inversion.ids[:count] if len(values) == len(traversal) else [None]
                pairs = zip(images, values.tolist(), strict=True)
                rows += [(name, image, metric, value) for image, value in pairs if math.isfinite(value)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row"), silent


def describe(job: EditJob, plain: dict[str, Any], rows: pl.DataFrame, paths: list[str]) -> dict[str, Any]:
    """Content of ``result.json``."""
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for (direction, metric), own in rows.group_by("direction", "metric", maintain_order=True):
        values = own["value"].to_numpy()
        low, high = mean_interval(values)
        ends = {name: end if math.isfinite(end) else None for name, end in (("low", low), ("high", high))}
        found = {"mean": float(values.mean()), **ends, "n": len(values)}
        scores.setdefault(str(direction), {})[str(metric)] = found
    return {
        "config_hash": job.key,
        **job.pipeline.arithmetic,
        "command": command(),
        "inversion": "the generator's own samples" if job.source is None else str(job.source),
        "space": job.inversion.space,
        "images": job.inversion.ids,
        "left_out": job.left_out,
        "combine": plain["combine"],
        "sheets": [{"name": sheet.name, "combinations": sheet.combinations} for sheet in job.sheets],
        "interpolations": paths,
        "postprocess": None if job.originals is None else list(job.originals.chain.steps),
        "directions": {n: describe_direction(d) for n, d in job.pipeline.directions.items()},
        "scores": scores,
        "generator": job.pipeline.generator.fingerprint(),
        **commit(),
        "versions": versions(),
        "machine": machine(job.pipeline.device),
    }


def describe_direction(direction: AbstractDirection) -> dict[str, Any]:
    """What is known of a direction, and ``reach``, the strengths that it achieves within its useful range."""
    return {"space": direction.space, **vars(direction.label), "reach": reach(direction.label)}
