"""TensorBoard event files."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from zstar.images import to_uint8
from zstar.loggers.base import AbstractLogger, Entry
from zstar.runs.record import Record


class TensorBoard(AbstractLogger):
    """Writes ``<run>/tensorboard``; look at it with ``tensorboard --logdir <run>``.

    TensorBoard has no tables: a table becomes a text, and the pictures in it become images of their own, one after the
    other under the slider. Needs the extra ``zstar[tensorboard]``. It uses torch's writer, as Lightning's logger does,
    whose import takes seconds that a projection does not have.
    """

    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ValueError(
                "logger: 'tensorboard' needs the package tensorboard; install zstar[tensorboard] or choose logger=csv"
            ) from error
        self._make = SummaryWriter
        self.writer: SummaryWriter | None = None

    def start(self, record: Record) -> None:
        """Open an event file and write the config into it."""
        self.writer = self._make(str(record.folder / "tensorboard"))
        self.writer.add_text("config", f"```json\n{json.dumps(record.facts(), indent=2)}\n```")

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve."""
        for name, value in values.items():
            self._open.add_scalar(name, value, step)

    def images(self, name: str, grid: Float[Tensor, "c h w"], step: int) -> None:
        """Add a picture."""
        self._open.add_image(name, to_uint8(grid[None])[0].cpu(), step, dataformats="HWC")

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Entry]]) -> None:
        """Add a text with the table, and its pictures."""
        plain = [i for i in range(len(columns)) if not any(isinstance(row[i], Tensor) for row in rows)]
        lines = [[columns[i] for i in plain], ["---"] * len(plain), *([row[i] for i in plain] for row in rows)]
        text = "\n".join("| " + " | ".join(str(entry).replace("|", "\\|") for entry in line) + " |" for line in lines)
        self._open.add_text(name, text)
        for column in set(range(len(columns))) - set(plain):
            for index, row in enumerate(rows):
                if isinstance(row[column], Tensor):
                    self.images(f"{name}/{columns[column]}", row[column], index)

    def summary(self, values: Mapping[str, float | int | str | None]) -> None:
        """Add a text with the values."""
        self._open.add_text("summary", f"```json\n{json.dumps(dict(values), indent=2)}\n```")

    def finish(self, failure: str | None = None) -> None:
        """Note how the job ended, and close the file."""
        if self.writer is not None:
            self.writer.add_text("status", f"failed: {failure}" if failure else "finished")
            self.writer.close()
            self.writer = None

    @property
    def _open(self) -> Any:
        if self.writer is None:
            raise RuntimeError("TensorBoard: nothing can be logged before start() and after finish()")
        return self.writer
