"""The batches of a projection: each is projected, measured and stored by one process, whoever else is at work."""

from dataclasses import replace
from pathlib import Path

import polars as pl
from torch import Tensor

from zstar.config.check import COMPANIONS
from zstar.data.base import Batch
from zstar.images import write_png
from zstar.inversion import Inversion
from zstar.losses.targets import Targets
from zstar.projection.batch_store import Parts, labelled, long_rows, start_rows
from zstar.projection.earlier import EDITABILITY, Earlier
from zstar.projection.job import Job
from zstar.projection.measure import measure, measure_edits
from zstar.projection.progress import Display
from zstar.projection.shards import Shard
from zstar.projectors.base import project_with_start
from zstar.runs.folder import finished, record_failure, safe_name
from zstar.runs.locks import LeftToAnother, hold
from zstar.runs.results import RESULTS_SCHEMA


def project_shard(job: Job, shard: Shard, folder: Path) -> bool:
    """Project the batches of a shard that nobody is at work on; returns whether those of all shards are done.

    Raises:
        LeftToAnother: Others are at work on some of its batches.
    """
    parts, mine = Parts(folder, job.key), shard.batches(job.batches)
    left: LeftToAnother | None = None
    try:
        with Display(len(mine), len(mine) * job.batch_size, job.batch_size) as display:
            for place, index in enumerate(mine):
                now = False
                try:
                    with hold(parts.lock(index)):
                        now = project_once(job, index, parts, folder, display)
                except LeftToAnother:
                    left = LeftToAnother(folder)
                display.batch_done(place, now)
    except Exception as error:
        record_failure(folder, error)
        raise
    if finished(folder, job.key):
        parts.clear()
        return True
    missing = sum(not parts.done(index) for index in range(job.batches))
    if missing and left:
        raise left
    if missing:
        print(f"{shard}: done; {missing} of all {job.batches} batches are left to the others: {folder}")
    return not missing


def project_once(job: Job, index: int, parts: Parts, folder: Path, display: Display) -> bool:
    """Project a batch that is held, unless it is done, or joined with the others already; whether it was projected."""
    if parts.done(index) or finished(folder, job.key):
        return False
    first = index * job.batch_size
    batch = job.data.read(range(first, min(first + job.batch_size, len(job.data))))
    project_batch(job, index, batch, parts, folder, display)
    return True


def project_batch(job: Job, index: int, batch: Batch, parts: Parts, folder: Path, display: Display) -> None:
    """Project one batch, write its pictures, and store it as finished."""
    if not batch.ids:
        parts.write(index, None, pl.DataFrame(schema=RESULTS_SCHEMA), batch.failed)
        return
    named = {"image": batch.images} | {name: batch.extras[name] for name in COMPANIONS if name in batch.extras}
    pipeline, (metrics, _) = job.pipeline, job.pipeline.measures
    named = {name: value.to(pipeline.device) for name, value in named.items()}
    classes = batch.extras.get("class") if pipeline.generator.classes else None
    targets = Targets(named, batch.ids, None if classes is None else classes.to(pipeline.device))
    pipeline.generator.require_size(targets.images)
    if job.earlier is not None:
        measure_again(job, job.earlier, index, batch, targets.images, parts, folder)
        return
    inversion, start = project_with_start(pipeline.problem, pipeline.projectors, targets, [display.callback])
    pictures = {"targets": targets.images, "reconstructions": inversion.image}
    if pipeline.problem.operators:
        pictures["observed"] = pipeline.problem.observe(targets).images
    values = measure(metrics, inversion.image, targets.images)
    if pipeline.editability:
        values |= measure_edits(pipeline.editability, pipeline.directions, pipeline.generator, inversion)
    rows = [long_rows(job.labels, inversion, values)]
    if start is not None:
        pictures["starts"] = start.image
        rows.append(start_rows(job.labels, start, measure(metrics, start.image, targets.images)))
    for kind, images in pictures.items():
        for name, image in zip(batch.ids, images, strict=True):
            write_png(folder / kind / f"{safe_name(name)}.png", image)
    parts.write(index, inversion, pl.concat(rows), batch.failed | diverged(inversion))


def measure_again(
    job: Job, earlier: Earlier, index: int, batch: Batch, images: Tensor, parts: Parts, folder: Path
) -> None:
    """Take the latents of a batch from an earlier run, and measure what that has not."""
    pipeline, (metrics, _) = job.pipeline, job.pipeline.measures
    inversion = earlier.inversion(batch.ids, pipeline.device)
    inversion = replace(inversion, image=inversion.render(pipeline.generator))
    same = {name for name, key in job.measures.items() if earlier.measures.get(name) == key}
    values = measure({name: metric for name, metric in metrics.items() if name not in same}, inversion.image, images)
    if pipeline.editability and EDITABILITY not in same:
        values |= measure_edits(pipeline.editability, pipeline.directions, pipeline.generator, inversion)
    kept = earlier.rows(batch.ids, same & metrics.keys(), EDITABILITY in same)
    ends = kept.filter(pl.col("metric") == "evaluations").select("image", "step", "seconds")
    new = [{"image": image, "metric": name, "value": value} for name, column in values.items()
           for image, value in zip(batch.ids, column, strict=True)]  # fmt: skip
    rows = [kept.with_columns(**{name: pl.lit(value) for name, value in vars(job.labels).items()})]
    if new:
        frame = pl.DataFrame(new, infer_schema_length=None).join(ends, on="image", maintain_order="left")
        rows.append(labelled(job.labels, frame.to_dicts()))
    earlier.copy_pictures(batch.ids, folder)
    rows = [frame.select(*RESULTS_SCHEMA).cast(RESULTS_SCHEMA) for frame in rows]
    parts.write(index, inversion, pl.concat(rows), batch.failed | diverged(inversion))


def diverged(inversion: Inversion) -> dict[str, str]:
    """Name → reason of the images whose loss is not finite."""
    lost = [name for name, status in zip(inversion.ids, inversion.status, strict=True) if status == "diverged"]
    return dict.fromkeys(lost, "diverged: the loss is not finite; lower optimizer.lr")
