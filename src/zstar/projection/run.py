"""The main job: project every image of a data set, batch by batch, and leave a folder that says how well."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zstar.config.build import to_plain
from zstar.config.paths import place
from zstar.generators.base import AbstractGenerator
from zstar.loggers.base import AbstractLogger
from zstar.projection.earlier import find_earlier
from zstar.projection.job import Job, make_job
from zstar.projection.shards import Shard, take_shard
from zstar.runs.folder import config_hash, finished
from zstar.runs.index import note
from zstar.runs.lifecycle import run_in
from zstar.runs.locks import LeftToAnother
from zstar.runs.precision import computing

Watch = Callable[[Any], None]  # of a ``polars.DataFrame``


def run(
    cfg: Mapping[str, Any],
    wait: bool = False,
    watch: Watch | None = None,
    generator: AbstractGenerator | None = None,
) -> dict[str, Any]:
    """Run ``invert.py``: project, measure, report. A finished run is returned at once, a killed one goes on.

    Arguments:
        cfg: The composed configuration.
        wait: Whether a run that another process is doing is waited for; else it is left to it.
        watch: Sees the results of each batch, in order, and may end the run by raising ``Stopped``.
        generator: The generator of the configuration, where it is built already.

    Returns:
        The content of ``result.json``, with the run's folder under ``folder`` and, under ``skipped``, whether it had
        finished before; without the content for a shard that leaves others to be done.

    Raises:
        LeftToAnother: Another process is doing this run, or some of this shard of it.
    """
    plain, shard = take_shard(to_plain(cfg))
    with computing("exact"):  # what comes before the projection is the same for all precisions
        job = make_job(plain, generator)
    with computing(plain["precision"]):
        return _run(job, plain, shard, wait, watch)


def _run(job: Job, plain: dict[str, Any], shard: Shard, wait: bool, watch: Watch | None) -> dict[str, Any]:
    """Carry out a job, or what of it is left."""
    plain["seed"] = job.labels.seed
    plain["tags"] = [*plain["tags"], job.labels.method, job.labels.protocol_hash]
    name = plain["name"] or f"{job.labels.space}_{job.labels.method}_seed{job.labels.seed}"
    folder = place(plain["output"], f"{name}_{job.key}")
    missing = not finished(folder, job.key)
    if missing:
        job.pipeline.build("measures")  # whose mistakes are found before there is a folder
        job = prepare(job, folder, config_hash(plain))
    elif (folder / "parts").is_dir():  # of a process that was killed when all was done
        shutil.rmtree(folder / "parts", ignore_errors=True)
    if missing and shard.index is not None:
        from zstar.projection.worker import project_shard

        if not project_shard(job, shard, folder):
            return {"folder": str(folder), "skipped": False}

    def work(logger: AbstractLogger) -> dict[str, Any]:
        from zstar.projection.work import carry_out  # with tables, bars and pages, which a finished run is spared

        return carry_out(job, folder, plain, logger, watch)

    try:
        return run_in(folder, job.key, plain, "invert", name, work, job.hashes, job.notices, wait)
    except LeftToAnother:
        if shard.index is None:
            raise
    print(f"{shard}: done; another process joins all of them: {folder}")
    return {"folder": str(folder), "skipped": False}


def prepare(job: Job, folder: Path, command: str) -> Job:
    """The job with the latents that an earlier run has left for it, and with notices of that and of what has changed
    since the last run of the same ``command``, a hash of the configuration."""
    notices = [*job.notices, *note(folder, job.identity, command)]
    earlier = find_earlier(folder.parent, job.latents)
    if earlier is not None:
        notices.append(f"latents: those of {earlier.folder}, of which only what is missing is measured")
    return replace(job, notices=notices, earlier=earlier)
