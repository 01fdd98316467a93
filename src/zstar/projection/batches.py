"""A batch of a projection: projected and measured, with its pictures on their way to the disk."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
from torch import Tensor

from zstar.config.check import COMPANIONS, STROKES
from zstar.data.base import Batch
from zstar.images import to_uint8, write_pixels
from zstar.inversion import Inversion
from zstar.losses.targets import Targets
from zstar.projection.alternatives import write_alternatives
from zstar.projection.batch_store import Part, labelled, long_rows, start_rows
from zstar.projection.earlier import EDITABILITY, Earlier
from zstar.projection.job import Job
from zstar.projection.measure import extract_features, measure, measure_edits, measure_model, measure_prior
from zstar.projection.progress import NETWORKS, Display
from zstar.projectors.base import project_with_start
from zstar.runs.folder import safe_name
from zstar.runs.results import RESULTS_SCHEMA

Write = Callable[..., None]  # of a function that writes a file, and its arguments: it need not be written at once


def project_batch(job: Job, index: int, batch: Batch, folder: Path, display: Display, write: Write) -> Part:
    """Project one batch and have its pictures written; returns what else is to be stored of it."""
    if not batch.ids:
        return Part(pl.DataFrame(schema=RESULTS_SCHEMA), batch.failed)
    named = {"image": batch.images} | {
        name: batch.extras[name] for name in (*COMPANIONS, *STROKES) if name in batch.extras
    }
    pipeline, (metrics, _) = job.pipeline, job.pipeline.measures
    named = {name: value.to(pipeline.device) for name, value in named.items()}
    classes = batch.extras.get("class") if pipeline.generator.classes else None
    targets = Targets(named, batch.ids, None if classes is None else classes.to(pipeline.device))
    pipeline.generator.require_size(targets.images)
    if job.earlier is not None:
        return measure_again(job, job.earlier, batch, targets.images, folder, display, write)
    with display.on(NETWORKS):
        pipeline.warm_up(targets)
        inversion, start = project_with_start(pipeline.problem, pipeline.projectors, targets, [display.callback])
        images = {"targets": targets.images, "reconstructions": inversion.image}
        if pipeline.problem.operators:
            images["observed"] = pipeline.problem.observe(targets).images
    with display.on("measuring"):
        values = measure(metrics, inversion.image, targets.images, pipeline.measuring)
        values |= measure_prior(metrics, pipeline.generator, inversion)
        values |= measure_model(metrics, pipeline.generator, inversion, targets.images)
        if pipeline.editability:
            values |= measure_edits(pipeline.editability, pipeline.directions, pipeline.generator, inversion)
        start_values = {} if start is None else measure(metrics, start.image, targets.images, pipeline.measuring)
        images |= {} if start is None else {"starts": start.image}
        pictures = {kind: to_uint8(some) for kind, some in images.items()}
        features = extract_features(metrics, pictures)
    rows = [long_rows(job.labels, inversion, values)]
    if start is not None:
        rows.append(start_rows(job.labels, start, start_values))
    with display.on("writing"):
        for kind, pixels in pictures.items():
            for name, picture in zip(batch.ids, pixels.cpu(), strict=True):
                write(write_pixels, folder / kind / f"{safe_name(name)}.png", picture)
        write_alternatives(pipeline.generator, inversion, targets.named, folder, write)
    return Part.of(inversion, pl.concat(rows), batch.failed | diverged(inversion), features)


def measure_again(
    job: Job, earlier: Earlier, batch: Batch, images: Tensor, folder: Path, display: Display, write: Write
) -> Part:
    """Take the latents of a batch from an earlier run, and measure what that has not."""
    pipeline, (metrics, _) = job.pipeline, job.pipeline.measures
    with display.on(NETWORKS):
        inversion = earlier.inversion(batch.ids, pipeline.device)
        inversion = replace(inversion, image=inversion.render(pipeline.generator))
    same = {name for name, key in job.measures.items() if earlier.measures.get(name) == key}
    with display.on("measuring"):
        others = {name: metric for name, metric in metrics.items() if name not in same}
        values = measure(others, inversion.image, images, pipeline.measuring)
        values |= measure_prior(others, pipeline.generator, inversion)
        values |= measure_model(others, pipeline.generator, inversion, images)
        if pipeline.editability and EDITABILITY not in same:
            values |= measure_edits(pipeline.editability, pipeline.directions, pipeline.generator, inversion)
        shown = {"targets": to_uint8(images), "reconstructions": to_uint8(inversion.image)}
        features = extract_features(metrics, shown)
    kept = earlier.rows(batch.ids, same & metrics.keys(), EDITABILITY in same)
    ends = kept.filter(pl.col("metric") == "evaluations").select("image", "step", "seconds")
    new = [{"image": image, "metric": name, "value": value} for name, column in values.items()
           for image, value in zip(batch.ids, column, strict=True)]  # fmt: skip
    rows = [kept.with_columns(**{name: pl.lit(value) for name, value in vars(job.labels).items()})]
    if new:
        frame = pl.DataFrame(new, infer_schema_length=None).join(ends, on="image", maintain_order="left")
        rows.append(labelled(job.labels, frame.to_dicts()))
    with display.on("writing"):
        for name in batch.ids:
            write(earlier.copy_pictures, name, folder)
    rows = [frame.select(*RESULTS_SCHEMA).cast(RESULTS_SCHEMA) for frame in rows]
    return Part.of(inversion, pl.concat(rows), batch.failed | diverged(inversion), features)


def diverged(inversion: Inversion) -> dict[str, str]:
    """Name → reason of the images whose loss is not finite."""
    lost = [name for name, status in zip(inversion.ids, inversion.status, strict=True) if status == "diverged"]
    return dict.fromkeys(lost, "diverged: the loss is not finite; lower optimizer.lr")
