"""The class of each image of a data set, from a table."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from zstar.config.paths import place, read_text
from zstar.data.base import MEGAPIXELS, AbstractData, AbstractView, Batch
from zstar.data.entries import stem

KEY = "data.classes"


class Classified(AbstractView):
    """The images of ``data``, each with its class from a table: ``Batch.extras["class"]``, one-hot ``[b, k]``.

    An image that has no row comes back in ``Batch.failed``.

    Arguments:
        data: The images.
        path: Text whose first line names the columns, separated by commas, semicolons or tabs: the image's name, with
            or without its suffix, and the number of its class.
        count: Number of classes.

    Raises:
        ValueError: The table can't be read, or has a class that there is not; one sentence.
    """

    def __init__(self, data: AbstractData, path: str, count: int) -> None:
        super().__init__(data)
        self.path, self.count, self.classes = path, count, count
        self.rows = read_classes(place(path), count)
        stems = [stem(name) for name in self.rows]
        self.stems = {stem(name): kind for name, kind in self.rows.items() if stems.count(stem(name)) == 1}

    def read(self, indices: Sequence[int]) -> Batch:
        return self._classed(self.data.read(indices))

    def large(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        return self._classed(self.data.large(index, megapixels))

    def _classed(self, batch: Batch) -> Batch:
        """The images of a batch that have a class, with it."""
        kinds = {name: self.rows.get(name, self.stems.get(stem(name))) for name in batch.ids}
        failed = {name: f"{KEY}: {self.path} has no row for it" for name, kind in kinds.items() if kind is None}
        kept = [place for place, name in enumerate(batch.ids) if kinds[name] is not None]
        found = torch.tensor([kind for kind in kinds.values() if kind is not None], dtype=torch.long)
        return replace(
            batch,
            ids=[batch.ids[place] for place in kept],
            images=batch.images[kept],
            extras={name: value[kept] for name, value in batch.extras.items()}
            | {"class": torch.nn.functional.one_hot(found, self.count).float()},
            failed=batch.failed | failed,
        )

    def fingerprint(self) -> str:
        """SHA-256 of the images' fingerprint and of the table's content."""
        return hashlib.sha256(f"{self.data.fingerprint()} {sorted(self.rows.items())}".encode()).hexdigest()

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        """Both parts of the images, with the same table."""
        kept, held = self.data.split(count)
        return Classified(kept, self.path, self.count), held and Classified(held, self.path, self.count)


def read_classes(path: Path, count: int) -> dict[str, int]:
    """Name of each image in a table → its class."""
    if not path.is_file():
        raise ValueError(f"{KEY}: there is no file {path}; give a table with an image's name and its class in each row")
    try:
        head, *lines = read_text(path).splitlines() or [""]
    except UnicodeDecodeError:
        raise ValueError(f"{KEY}: {path} is no text; save the table as CSV") from None
    rows = {}
    for row in csv.reader(lines, delimiter=max(",;\t", key=head.count)):
        name, kind = (cell.strip() for cell in [*row, "", ""][:2])
        if not row:
            continue
        if not kind.isdigit() or int(kind) >= count:
            raise ValueError(f"{KEY}: {path} says {kind!r} of {name}, which is no class; give one of 0..{count - 1}")
        if rows.setdefault(name, int(kind)) != int(kind):
            raise ValueError(f"{KEY}: {path} has two classes for {name}; remove one of them")
    if not rows:
        raise ValueError(f"{KEY}: {path} has no rows below its first line, which names the columns")
    return rows
