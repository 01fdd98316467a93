"""The main job: project every image of a data set, batch by batch, and leave a folder that says how well."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from omegaconf import OmegaConf

from zstar.checkpoints import read_card
from zstar.config import to_plain
from zstar.data.base import Batch
from zstar.images import write_png
from zstar.job import Job, make_job
from zstar.loggers.base import AbstractLogger
from zstar.measuring import bytes_per_image, measure, measure_edits, write_features
from zstar.objective import Targets
from zstar.parts import Parts, long_rows, start_rows
from zstar.progress import Display
from zstar.projectors.base import project_with_start
from zstar.records import log_result
from zstar.report import write_report
from zstar.results import RESULTS_SCHEMA, TRAJECTORY, print_table, summarize
from zstar.running import run_in
from zstar.runs import (
    commit,
    machine,
    record_result,
    safe_name,
    versions,
    write_atomic,
)

Watch = Callable[[pl.DataFrame], None]


def run(cfg: Mapping[str, Any], wait: bool = False, watch: Watch | None = None) -> dict[str, Any]:
    """Run ``invert.py``: project, measure, report. A finished run is returned at once, a killed one goes on.

    Arguments:
        cfg: The composed configuration.
        wait: Whether a run that another process is doing is waited for; else it is left to it.
        watch: Sees the results of each batch, in order, and may end the run by raising ``Stopped``.

    Returns:
        The content of ``result.json``, with the run's folder under ``folder``.

    Raises:
        LeftToAnother: Another process is doing this run.
    """
    job = make_job(cfg)
    plain = {**to_plain(cfg), "seed": job.labels.seed}
    name = plain["name"] or f"{job.labels.space}_{job.labels.method}_seed{job.labels.seed}"
    folder = Path(plain["output"]) / f"{name}_{job.key}"
    return run_in(
        folder, job.key, plain, "invert", name, lambda logger: carry_out(job, folder, plain, logger, watch),
        group=job.labels.protocol_hash, notices=job.notices, wait=wait,
    )  # fmt: skip


def carry_out(
    job: Job, folder: Path, plain: dict[str, Any], logger: AbstractLogger, watch: Watch | None = None
) -> dict[str, Any]:
    """Project the batches that are not done yet, then join, measure and report all of them."""
    write_atomic(folder / "config.yaml", lambda path: path.write_text(OmegaConf.to_yaml(plain)))
    parts = Parts(folder, job.key)
    with Display(job.batches, len(job.data)) as display:
        for index in range(job.batches):
            if not parts.done(index):
                first = index * job.batch_size
                batch = job.data.read(range(first, min(first + job.batch_size, len(job.data))))
                project_batch(job, index, batch, parts, folder, display)
            display.batch_done(index)
            if watch is not None:
                watch(parts.rows(index))
    failures = parts.failed(job.batches)
    parts.merge_rows(job.batches, folder / "results.parquet", job.labels)
    rows = pl.scan_parquet(folder / "results.parquet")
    finals = rows.filter(~TRAJECTORY).collect()
    card = {"space": job.labels.space, "noise_mode": job.problem.noise, "generator": job.generator.fingerprint()}
    parts.merge_latents(job.batches, folder / "latents.safetensors", card)
    size = (job.generator.resolution, job.generator.channels)
    ids = read_card(folder / "latents.safetensors")["ids"]
    sets = write_features(job.metrics, folder, ids, size, job.device)
    result = describe(job, plain, finals, failures) | {
        "sets": {name: asdict(number) for name, number in sets.items()},
        "bytes_per_image": bytes_per_image(folder / "latents.safetensors", len(ids)),
    }
    log_result(logger, rows, finals, result, folder, size)
    print_table(finals)
    for name, number in sets.items():
        print(f"{name}: {number.value:.4g} [{number.low:.4g}, {number.high:.4g}], of {len(ids)} images together")
    for name, reason in [*job.skipped.items(), *failures.items()]:
        print(f"left out: {name}: {reason}")
    write_report(folder, result)
    record_result(folder, result)
    parts.clear()
    print(f"report: {folder}/report.html")
    return result


def project_batch(job: Job, index: int, batch: Batch, parts: Parts, folder: Path, display: Display) -> None:
    """Project one batch, write its pictures, and store it as finished."""
    if not batch.ids:
        parts.write(index, None, pl.DataFrame(schema=RESULTS_SCHEMA), batch.failed)
        return
    weights = batch.extras.get("weights")
    targets = Targets(batch.images.to(job.device), batch.ids, None if weights is None else weights.to(job.device))
    job.generator.require_size(targets.images)
    inversion, start = project_with_start(job.problem, job.projectors, targets, [display.callback])
    pictures = {"targets": targets.images, "reconstructions": inversion.image}
    values = measure(job.metrics, inversion.image, targets.images)
    values |= measure_edits(job.editability, job.directions, job.generator, inversion)
    rows = [long_rows(job.labels, inversion, values)]
    if start is not None:
        pictures["starts"] = start.image
        rows.append(start_rows(job.labels, start, measure(job.metrics, start.image, targets.images)))
    failed = dict(batch.failed)
    for name, status in zip(inversion.ids, inversion.status, strict=True):
        if status == "diverged":
            failed[name] = "diverged: the loss is not finite; lower optimizer.lr"
    for kind, images in pictures.items():
        for name, image in zip(batch.ids, images, strict=True):
            write_png(folder / kind / f"{safe_name(name)}.png", image)
    parts.write(index, inversion, pl.concat(rows), failed)


def command() -> str:
    """The command line of this process, ready to be typed again."""
    program = Path(sys.argv[0]).name
    return shlex.join([*(["python"] if program.endswith(".py") else []), program, *sys.argv[1:]])


def describe(job: Job, plain: dict[str, Any], finals: pl.DataFrame, failures: dict[str, str]) -> dict[str, Any]:
    """What goes into ``result.json``."""
    summary = {row["metric"]: row for row in summarize(finals).to_dicts()}
    seconds = finals.filter(pl.col("metric") == "seconds")["value"]
    return {
        "config_hash": job.key,
        "protocol_hash": job.labels.protocol_hash,
        "command": command(),
        "method": job.labels.method,
        "space": job.labels.space,
        "seed": job.labels.seed,
        "stochastic": job.stochastic,
        "protocol": plain.get("protocol"),
        "budget": plain["budget"],
        "steps": plain["steps"],
        "images": len(seconds),
        "failed": failures,
        "notices": job.notices,
        "seconds": seconds.sum(),
        "summary": summary,
        "metrics": {n: {"unit": m.unit, "better": m.better, "network": m.network} for n, m in job.metrics.items()},
        "skipped_metrics": job.skipped,
        "generator": job.generator.fingerprint(),
        **commit(),
        "versions": versions(),
        "machine": machine(),
    }
