"""Plain files, for spreadsheets, shells and text editors."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from zstar.images import write_png
from zstar.loggers.base import AbstractLogger, Entry
from zstar.runs.folder import safe_name, write_atomic, write_json
from zstar.runs.record import Record
from zstar.runs.writers import Writers

WAITING = 64  # pictures of a table, for a thread to write them


class CSV(AbstractLogger):
    """Writes ``<run>/log``: ``metrics.csv`` with a row per step and name, a CSV per table, ``summary.json`` and PNGs.

    Choose it where no service and no viewer is wanted. A row is on disk as soon as it is logged, and a job that
    goes on after a kill appends to the same file, in place of the steps that it does again. Lightning's own logger
    keeps its rows in memory, has no tables and pictures, and its import takes seconds that a projection does not
    have.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None

    def start(self, record: Record) -> None:
        """Make the folder and note what runs."""
        self.folder, self._facts = record.folder / "log", record.facts()
        self._begun = False  # whether this process has logged a number
        self._write("running")

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Append one row per name."""
        path = self._open / "metrics.csv"
        if not self._begun and path.is_file():
            _forget(path, step)
        self._begun, fresh = True, not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows([("step", "name", "value")] * fresh)
            writer.writerows((step, name, float(value)) for name, value in values.items())

    def images(self, name: str, grid: Float[Tensor, "c h w"], step: int) -> None:
        """Write a PNG."""
        write_png(self._open / "images" / f"{safe_name(name)}-{step:07d}.png", grid)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Entry]]) -> None:
        """Write a CSV whose entries with pictures hold the path of a PNG beside it."""
        folder = self._open
        path = folder / f"{safe_name(name)}.csv"
        with path.open("w", newline="", encoding="utf-8") as file, Writers(WAITING) as writers:
            writer = csv.writer(file)
            writer.writerow(columns)
            for index, row in enumerate(rows):
                entries = list(row)
                for column, entry in enumerate(row):
                    if isinstance(entry, Tensor):
                        entries[column] = f"{safe_name(name)}/{index:05d}-{safe_name(columns[column])}.png"
                        writers.write(write_png, folder / entries[column], entry)
                writer.writerow(entries)

    def summary(self, values: Mapping[str, float | int | str | None]) -> None:
        """Write ``summary.json``."""
        write_json(self._open / "summary.json", dict(values))

    def finish(self, failure: str | None = None) -> None:
        """Note how the job ended."""
        if self.folder is not None:
            self._write("failed" if failure else "finished", failure)
            self.folder = None

    def _write(self, status: str, failure: str | None = None) -> None:
        write_json(self._open / "run.json", {**self._facts, "status": status, "failure": failure})

    @property
    def _open(self) -> Path:
        if self.folder is None:
            raise RuntimeError("CSV: nothing can be logged before start() and after finish()")
        return self.folder


def _forget(path: Path, step: int) -> None:
    """Drop the rows from ``step`` on: a job that was killed after them does those steps again."""
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    kept = [row for row in rows if len(row) == len(head) and row[0].isdigit() and int(row[0]) < step]

    def write(part: Path) -> None:
        with part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([head, *kept])

    write_atomic(path, write)
