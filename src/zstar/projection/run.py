"""The main job: project every image of a data set, batch by batch, and leave a folder that says how well."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from omegaconf import OmegaConf

from zstar.checkpoints.io import read_card
from zstar.config.build import to_plain
from zstar.loggers.base import AbstractLogger
from zstar.projection.batch_store import Parts
from zstar.projection.batches import project_once, project_shard
from zstar.projection.job import Job, label, make_job
from zstar.projection.log import log_result
from zstar.projection.measure import bytes_per_image, write_features
from zstar.projection.progress import Display
from zstar.projection.shards import take_shard
from zstar.reports.projection import write_report
from zstar.reports.terminal import print_table
from zstar.runs.folder import commit, finished, machine, record_result, versions, write_atomic
from zstar.runs.lifecycle import run_in
from zstar.runs.locks import LeftToAnother, hold
from zstar.runs.results import TRAJECTORY, summarize

Watch = Callable[[pl.DataFrame], None]


def run(cfg: Mapping[str, Any], wait: bool = False, watch: Watch | None = None) -> dict[str, Any]:
    """Run ``invert.py``: project, measure, report. A finished run is returned at once, a killed one goes on.

    Arguments:
        cfg: The composed configuration.
        wait: Whether a run that another process is doing is waited for; else it is left to it.
        watch: Sees the results of each batch, in order, and may end the run by raising ``Stopped``.

    Returns:
        The content of ``result.json``, with the run's folder under ``folder`` and, under ``skipped``, whether it had
        finished before; without the content for a shard that leaves others to be done.

    Raises:
        LeftToAnother: Another process is doing this run, or some of this shard of it.
    """
    plain, shard = take_shard(to_plain(cfg))
    job = make_job(plain)
    plain["seed"] = job.labels.seed
    plain["tags"] = [*plain["tags"], job.labels.method, job.labels.protocol_hash]
    name = plain["name"] or f"{job.labels.space}_{job.labels.method}_seed{job.labels.seed}"
    folder = Path(plain["output"]) / f"{name}_{job.key}"
    if shard.index is not None and not finished(folder, job.key) and not project_shard(job, shard, folder):
        return {"folder": str(folder), "skipped": False}
    try:
        return run_in(
            folder, job.key, plain, "invert", name, lambda logger: carry_out(job, folder, plain, logger, watch),
            group=job.labels.protocol_hash, notices=job.notices, wait=wait,
        )  # fmt: skip
    except LeftToAnother:
        if shard.index is None:
            raise
    print(f"{shard}: done; another process joins all of them: {folder}")
    return {"folder": str(folder), "skipped": False}


def carry_out(
    job: Job, folder: Path, plain: dict[str, Any], logger: AbstractLogger, watch: Watch | None = None
) -> dict[str, Any]:
    """Project the batches that are not done yet, then join, measure and report all of them."""
    write_atomic(folder / "config.yaml", lambda path: path.write_text(OmegaConf.to_yaml(plain)))
    parts = Parts(folder, job.key)
    with Display(job.batches, len(job.data)) as display:
        for index in range(job.batches):
            with hold(parts.lock(index), wait=True):  # a shard may be at work on it
                project_once(job, index, parts, folder, display)
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
        "projectors": list(map(label, job.projectors)),
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
