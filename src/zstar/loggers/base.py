"""The protocol of loggers: one record per job, with its config, metrics over steps, pictures and tables."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from zstar.runs.record import Record

Entry = str | int | float | bool | Tensor | None  # of a table; a tensor is a picture [c, h, w] in [−1, 1]


class AbstractLogger(ABC):
    """A record of one job at a time: ``start``, any number of calls in between, ``finish`` in a ``finally``.

    After ``finish``, the same object may start the record of another job. What is logged is a copy for the eye: results
    are read from the run folder, never from a logger.
    """

    @abstractmethod
    def start(self, record: Record) -> None:
        """Open the record of a job."""

    @abstractmethod
    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers at a step. A name stands for a quantity, never for an image: images are rows of a table."""

    @abstractmethod
    def images(self, name: str, grid: Float[Tensor, "c h w"], step: int) -> None:
        """Log one picture in [−1, 1], usually a grid of many (:func:`zstar.images.grid`)."""

    @abstractmethod
    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Entry]]) -> None:
        """Log a table with one row per image; a tensor ``[c, h, w]`` in [−1, 1] is an entry with a picture."""

    @abstractmethod
    def summary(self, values: Mapping[str, float | int | str | None]) -> None:
        """Log the results of the job: one value per name for the whole run."""

    @abstractmethod
    def finish(self, failure: str | None = None) -> None:
        """Close the record, as that of a failed job where ``failure`` says why. Without ``start``, and a second time,
        it does nothing."""
