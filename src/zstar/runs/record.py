"""A job as a logger sees it when it begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Job = Literal["invert", "train", "edit", "benchmark"]


@dataclass(frozen=True)
class Record:
    """The head of a job's record: where it is written, and what is known of the job before it runs.

    Attributes:
        folder: The run folder; everything that a logger writes goes into it.
        config: The resolved config as plain Python containers.
        job: Which program runs.
        name: Name of the run, for people.
        tags: Words to find it by.
        group: Name shared by the runs that belong together, e.g. a benchmark.
    """

    folder: Path
    config: Mapping[str, Any]
    job: Job
    name: str
    tags: Sequence[str] = ()
    group: str | None = None

    def facts(self) -> dict[str, Any]:
        """All but the folder, as plain containers."""
        facts = {"job": self.job, "name": self.name, "tags": list(self.tags), "group": self.group}
        return {**facts, "config": dict(self.config)}
