"""The life of a job with a folder of its own: lock it, skip the work if it is done, log it, record a failure."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from zstar.config.build import build
from zstar.runs.ending import Stopped, failure_reason
from zstar.runs.folder import clear_partial, damaged, finished, record_failure
from zstar.runs.locks import hold
from zstar.runs.record import Job, Record, make_record


class Logger(Protocol):
    """The part of a logger that a run uses; those of ``zstar.loggers`` have it."""

    def start(self, record: Record) -> None:
        """Open the record of a job."""

    def finish(self, failure: str | None = None) -> None:
        """Close the record; ``failure`` says why the job has failed, if it has."""


def run_in(
    folder: Path,
    key: str,
    plain: Mapping[str, Any],
    job: Job,
    name: str,
    work: Callable[[Any], dict[str, Any]],
    hashes: Mapping[str, str | None] = MappingProxyType({}),
    notices: Sequence[str] = (),
    wait: bool = False,
) -> dict[str, Any]:
    """Do ``work`` in ``folder``, unless a run with the hash ``key`` has finished there.

    Arguments:
        plain: The configuration as plain containers, with ``logger`` and ``tags``.
        job, name: As in :func:`~zstar.runs.record.make_record`.
        hashes: Of what the result depends on, by name, beside ``key``.
        work: Does it, with the logger that is open meanwhile, and returns the content of ``result.json``.
        notices: What is printed before anything else.
        wait: Whether a folder that another process is at work in is waited for.

    Returns:
        The content of ``result.json``, with the run's folder under ``folder`` and, under ``skipped``, whether it had
        finished before.

    Raises:
        LeftToAnother: Another process is at work in ``folder``, and it is not to be waited for.
    """
    for notice in notices:
        print(notice)
    if result := finished(folder, key):
        return skip(folder, result)
    with hold(folder / ".lock", wait):
        if result := finished(folder, key):  # by the process that held it until now
            return skip(folder, result)
        clear_partial(folder)
        if lost := damaged(folder):
            print(f"{folder}: {', '.join(lost)} is missing or damaged, so this run is done again")
        logger: Logger = build(plain["logger"], at="logger")
        failure = None
        try:
            logger.start(make_record(folder, plain, job, name, {"config_hash": key, **hashes}))
            result = work(logger)
        except BaseException as error:
            failure = failure_reason(error, str(folder))
            if isinstance(error, Exception) and not isinstance(error, Stopped):  # an interrupt is no failure
                record_failure(folder, error)
            raise
        finally:
            logger.finish(failure)
    return {**result, "folder": str(folder), "skipped": False}


def skip(folder: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a run that had finished before."""
    print(f"finished already, nothing to do: {folder}/report.html")
    return {**result, "folder": str(folder), "skipped": True}
