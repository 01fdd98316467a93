"""The work of a projection run: project the batches, then join, measure and report all of them."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from omegaconf import OmegaConf

from zstar.checkpoints.io import read_card
from zstar.loggers.base import AbstractLogger
from zstar.projection.batch_store import Parts
from zstar.projection.job import Job, label
from zstar.projection.log import Running, log_result
from zstar.projection.measure import bytes_per_image, find_classes, unmeasured, write_features
from zstar.projection.progress import Display
from zstar.projection.worker import Worker
from zstar.reports.numbers import with_interval
from zstar.reports.projection import write_report
from zstar.reports.terminal import print_table
from zstar.runs.folder import command, commit, machine, record_result, versions, write_text
from zstar.runs.index import remember
from zstar.runs.results import TRAJECTORY, scan_rows, summarize


def carry_out(
    job: Job,
    folder: Path,
    plain: dict[str, Any],
    logger: AbstractLogger,
    watch: Callable[[pl.DataFrame], None] | None = None,
) -> dict[str, Any]:
    """Project the batches that are not done yet, then join, measure and report all of them."""
    write_text(folder / "config.yaml", OmegaConf.to_yaml(plain))
    parts, generator, (metrics, missing) = Parts(folder, job.key), job.pipeline.generator, job.pipeline.measures
    running, chosen = Running(logger), range(job.batches)
    with Display(job.batches, len(job.data), job.batch_size) as display, Worker(job, chosen, folder, display) as worker:
        for index in chosen:
            rows = worker.project(index, wait=True)  # a shard may be at work on it
            display.batch_done(index, rows is not None)
            rows = parts.rows(index) if rows is None else rows
            running.add(rows)
            if watch is not None:
                watch(rows)
    failures = parts.failed(job.batches)
    parts.merge_rows(job.batches, folder / "results.parquet", job.labels)
    rows = scan_rows(folder / "results.parquet")
    finals = rows.filter(~TRAJECTORY).collect()
    card = {
        "space": job.pipeline.space.name,
        "noise_mode": job.pipeline.problem.noise,
        "generator": generator.fingerprint(),
    }
    parts.merge_latents(job.batches, folder / "latents.safetensors", card)
    size = (generator.resolution, generator.channels)
    ids = read_card(folder / "latents.safetensors")["ids"]
    sets = write_features(metrics, parts.features(job.batches), ids, folder)
    table = summarize(finals)
    missing |= unmeasured(metrics, {*finals["metric"], *sets}) if ids else {}
    result = describe(job, plain, finals, table, failures) | {
        "sets": {name: asdict(number) for name, number in sets.items()},
        "bytes_per_image": bytes_per_image(folder / "latents.safetensors", len(ids)),
        "classes": find_classes(folder / "latents.safetensors", ids),
        "time": {name: round(seconds, 3) for name, seconds in display.spent.seconds().items()},
    }
    log_result(logger, rows, finals, result, folder, size)
    print_table(table)
    for name, number in sets.items():
        ends = number.value, number.low, number.high
        print(f"{name}: {with_interval(*ends)}, of {len(ids)} images together")
    for name, reason in [*missing.items(), *failures.items()]:
        print(f"left out: {name}: {reason}")
    write_report(folder, result)
    record_result(folder, result, ["results.parquet", "latents.safetensors"])
    remember(folder, job.latents)
    parts.clear()
    print(f"time: {display.spent}")
    print(f"report: {folder}/report.html")
    return result


def describe(
    job: Job, plain: dict[str, Any], finals: pl.DataFrame, table: pl.DataFrame, failures: dict[str, str]
) -> dict[str, Any]:
    """Content of ``result.json``."""
    metrics, missing = job.pipeline.measures
    summary = {row["metric"]: row for row in table.to_dicts()}
    seconds = finals.filter(pl.col("metric") == "seconds")["value"]
    return {
        "config_hash": job.key,
        **job.pipeline.arithmetic,
        "latents": job.latents,
        "measures": {name: key for name, key in job.measures.items() if name not in missing},
        "protocol_hash": job.labels.protocol_hash,
        "command": command(),
        "method": job.labels.method,
        "projectors": list(map(label, job.pipeline.projectors)),
        "space": job.labels.space,
        "seed": job.labels.seed,
        "stochastic": job.pipeline.stochastic,
        "protocol": plain.get("protocol"),
        "budget": plain["budget"],
        "steps": sum(one.optimizer_steps for one in job.pipeline.projectors),
        "images": len(seconds),
        "failed": failures,
        "notices": job.notices,
        "seconds": seconds.sum(),
        "summary": summary,
        "metrics": {n: {"unit": m.unit, "better": m.better, "network": m.network} for n, m in metrics.items()},
        "skipped_metrics": missing,
        "generator": job.pipeline.generator.fingerprint(),
        "encoder": None if job.pipeline.encoder is None else job.pipeline.encoder.fingerprint(),
        **commit(),
        "versions": versions(),
        "machine": machine(job.pipeline.device),
    }
