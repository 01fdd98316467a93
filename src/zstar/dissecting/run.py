"""From the configuration of ``dissect.py`` to a folder with tables, pictures, units and a report."""

from collections.abc import Mapping
from typing import Any

from zstar.config.build import to_plain
from zstar.config.paths import place
from zstar.dissecting.job import make_dissect_job
from zstar.loggers.base import AbstractLogger
from zstar.runs.folder import safe_name
from zstar.runs.lifecycle import run_in
from zstar.runs.precision import computing


def run(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Run ``dissect.py``. A finished run is returned at once, a killed one goes on.

    Returns:
        The content of ``result.json``, with the run's folder under ``folder``.
    """
    plain = to_plain(cfg)
    with computing("exact"):
        job = make_dissect_job(cfg)
    name = plain["name"] or "_".join(job.analyses)[:60]
    folder = place(plain["output"], f"{safe_name(name)}_{job.key}")

    def work(logger: AbstractLogger) -> dict[str, Any]:
        from zstar.dissecting.work import carry_out  # with tables and pages, which a finished run is spared

        return carry_out(job, folder, plain, logger)

    hashes = {"generator": job.subject.generator.fingerprint()}
    with computing(plain["precision"]):
        return run_in(folder, job.key, plain, "dissect", name, work, hashes)
