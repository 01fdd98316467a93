"""No logger."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from zstar.loggers.base import AbstractLogger, Entry
from zstar.runs.record import Record


class NoLogger(AbstractLogger):
    """Logs nothing. Choose it for timing, and where only the run folder is wanted."""

    def start(self, record: Record) -> None:
        """Nothing."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Nothing."""

    def images(self, name: str, grid: Float[Tensor, "c h w"], step: int) -> None:
        """Nothing."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Entry]]) -> None:
        """Nothing."""

    def summary(self, values: Mapping[str, float | int | str | None]) -> None:
        """Nothing."""

    def finish(self, failure: str | None = None) -> None:
        """Nothing."""
