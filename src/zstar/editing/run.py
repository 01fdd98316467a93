"""z₀ = project(x), z₁ = z₀ + Δz, G(z₁): an editing run from its configuration to a folder of pictures and numbers."""

from collections.abc import Mapping
from typing import Any

from zstar.config.build import to_plain
from zstar.config.paths import place
from zstar.editing.job import make_edit_job
from zstar.loggers.base import AbstractLogger
from zstar.runs.folder import safe_name
from zstar.runs.lifecycle import run_in
from zstar.runs.precision import computing


def run(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Run ``edit.py``. A finished run is returned at once; the projection that it needs is found again if it is done.

    Returns:
        The content of ``result.json``, with the run's folder under ``folder``.
    """
    with computing("exact"):  # directions are found alike for pictures of all precisions
        job, plain = make_edit_job(cfg), to_plain(cfg)
    name = plain["name"] or "_".join(job.pipeline.directions)[:60] or plain["interpolation"] or "mixing"
    folder = place(plain["output"], f"{safe_name(name)}_{job.key}")

    def work(logger: AbstractLogger) -> dict[str, Any]:
        from zstar.editing.work import carry_out  # with tables, pictures and pages, which a finished run is spared

        return carry_out(job, folder, plain, logger)

    hashes = {"generator": job.pipeline.generator.fingerprint()}
    with computing(plain["precision"]):
        return run_in(folder, job.key, plain, "edit", name, work, hashes)
