"""The work of a dissection: one analysis after the other, and what they have found in files."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from zstar.directions.library import save_directions
from zstar.dissecting.findings import UNITS, all_files, as_directions, read_findings, write_findings
from zstar.dissecting.job import DissectJob
from zstar.dissecting.report import write_dissection_report
from zstar.dissection.base import Findings, Parts
from zstar.images import shrink
from zstar.loggers.base import AbstractLogger
from zstar.reports.numbers import plain as as_plain
from zstar.reports.progress import Progress
from zstar.runs.folder import command, commit, machine, record_result, versions, write_text

LOGGED = 2000  # pixels of a picture for loggers, at most
ROWS = 1000  # of a table for loggers, at most


def carry_out(job: DissectJob, folder: Path, plain: dict[str, Any], logger: AbstractLogger) -> dict[str, Any]:
    """Analyses, units, report."""
    write_text(folder / "config.yaml", OmegaConf.to_yaml(plain))
    found = analyse(job, folder)
    units = as_directions(found)
    if units:
        save_directions(folder / UNITS, units, job.subject.generator, command=command())
    for name, one in found.items():
        log(logger, name, one)
        for line in sentences(one):
            print(f"{name}: {line}")
    result = describe(job, found, list(units))
    write_dissection_report(folder, result, found, job.subject)
    files = all_files(folder, found) + [UNITS] * bool(units) + ["report.html"]
    record_result(folder, result, files)
    shutil.rmtree(folder / "parts", ignore_errors=True)
    print(f"report: {folder}/report.html")
    return result


def analyse(job: DissectJob, folder: Path) -> dict[str, Findings]:
    """What each analysis finds, or has found before the run was killed."""
    found: dict[str, Findings] = {}
    passes = {name: max(one.passes, 0.1) * job.subject.samples for name, one in job.analyses.items()}
    with Progress(round(sum(passes.values())), "pictures", "dissecting") as progress:
        begun = 0.0
        for name, analysis in job.analyses.items():
            end = begun + passes[name]
            earlier = read_findings(folder / name, job.subject.generator)
            if earlier is not None:
                progress.skip(end)
            else:

                def drawn(count: int, name: str = name, end: float = end) -> None:
                    progress.update(min(progress.done + count, end), name)

                with torch.no_grad():
                    subject = replace(job.subject, drawn=drawn)
                    earlier = analysis(subject, found, Parts(folder / "parts" / name))
                write_findings(folder / name, name, earlier, job.subject.generator)
            found[name], begun = earlier, end
            progress.update(end, f"{name}: done", mark=True)
    return found


def log(logger: AbstractLogger, name: str, found: Findings) -> None:
    """Tables, pictures and facts of an analysis, for the logger; long tables are cut."""
    for title, table in found.tables.items():
        rows = [[None if isinstance(entry, list) else entry for entry in row] for row in table.head(ROWS).rows()]
        if rows:
            logger.table(f"{name}/{title}", table.columns, rows)
    for title, picture in found.pictures.items():
        logger.images(f"{name}/{title}", shrink(picture[None], LOGGED)[0], 0)
    facts = {f"{name}/{key}": value for key, value in found.summary.items() if isinstance(value, int | float | str)}
    if facts:
        logger.summary(facts)


def sentences(found: Findings) -> list[str]:
    """What an analysis says of itself in words."""
    said = found.summary.get("sentences")
    return list(said) if isinstance(said, list | tuple) else []


def describe(job: DissectJob, found: Mapping[str, Findings], units: list[str]) -> dict[str, Any]:
    """Content of ``result.json``."""
    subject = job.subject
    return {
        "config_hash": job.key,
        **job.arithmetic,
        "command": command(),
        "generator": subject.generator.fingerprint(),
        "layers": {name: list(shape) for name, shape in job.shapes.items()},
        "samples": subject.samples,
        "seed": subject.seed,
        "classes": {name: subject.segmenter.kinds[name] for name in subject.segmenter.classes},
        "analyses": {name: as_plain(one.summary) for name, one in found.items()},
        "units": units,
        **commit(),
        "versions": versions(),
        "machine": machine(next(subject.generator.parameters()).device),
    }
