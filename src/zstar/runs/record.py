"""What a logger is told of a job before it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from zstar.runs.folder import command, commit, versions
from zstar.runs.sweeps import own_words, sweep_name

Job = Literal["invert", "train", "edit", "dissect", "benchmark"]
LONGEST = 128  # letters of a name; W&B takes no more


@dataclass(frozen=True)
class Record:
    """The head of a job's record: where it is written, and what is known of the job before it runs.

    Attributes:
        folder: The run folder; everything that a logger writes goes into it.
        config: The resolved config as plain Python containers.
        job: Which program runs.
        name: Name of the run, for people.
        tags: Words to find it by.
        group: Name shared by the runs that belong together: those of a sweep.
        provenance: What the config lacks of where results come from: hashes, command, commit, versions.
    """

    folder: Path
    config: Mapping[str, Any]
    job: Job
    name: str
    tags: Sequence[str] = ()
    group: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """All but the folder, as plain containers."""
        facts = {"job": self.job, "name": self.name, "tags": list(self.tags), "group": self.group}
        return {**facts, "provenance": dict(self.provenance), "config": dict(self.config)}


def make_record(
    folder: Path, plain: Mapping[str, Any], job: Job, name: str, hashes: Mapping[str, str | None]
) -> Record:
    """The record of a job that runs in ``folder``, which says what tells it apart from others.

    Its name is followed by the words of its command line, in a sweep by those that are its own; the name of the folder,
    which ends in a hash, is its name where there are none.

    Arguments:
        plain: The configuration as plain containers, with ``tags``.
        name: Name of the run.
        hashes: Of what it depends on, by name, with ``config_hash``.
    """
    words = own_words()
    title = shorten(" ".join([name, *words]), str(hashes["config_hash"])) if words else folder.name
    provenance = {**hashes, "command": command(), **commit(), "versions": versions(), "folder": str(folder)}
    return Record(folder, plain, job, title, plain["tags"], sweep_name(), provenance)


def shorten(text: str, key: str) -> str:
    """A text of at most ``LONGEST`` letters, which ends in ``key`` where it has lost some."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - len(key) - 2]}… {key}"
