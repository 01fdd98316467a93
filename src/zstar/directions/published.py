"""Directions published by others, for a generator of the same sizes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from zstar.config.constraints import FilePath
from zstar.directions.base import AbstractFinder, Label
from zstar.directions.linear import Linear
from zstar.directions.principal import in_rows
from zstar.directions.published_files import KEY, in_one_row, read_published
from zstar.spaces.base import AbstractSpace


class Published(AbstractFinder):
    """Boundaries of InterFaceGAN (.npy), components of GANSpace (.pt, .npz), and directions of e4e (.pt).

    A vector of n equal rows is one of w, which moves any number of rows. No such file says which generator it is for;
    only the sizes can be compared, so look at what they do. They keep the units of their authors: α = 1 adds the
    published vector, and of components one standard deviation as published.

    Arguments:
        path: The file.
        format: Refuse a file of another kind than this; None takes what the content says.
        space: The space that they are of; None for the space of the run, or w_plus for a file with a row per layer
            (w where the rows are equal).
        names: Names for the first ones, and only those are taken; None for all, called as the file.

    Raises:
        ValueError: The file can't be read, is of another kind, or its vectors are not of the space's size.
    """

    def __init__(
        self,
        path: FilePath,
        format: Literal["interfacegan", "ganspace", "e4e"] | None = None,
        space: str | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.path, self.format, self.space = path, format, space
        self.names = self.candidates = None if names is None else list(names)

    def find(self, space: AbstractSpace) -> dict[str, Linear]:
        published, generator = read_published(self.path), space.generator
        rows, published = published.vectors.ndim == 3, in_one_row(published)
        if self.format not in (None, published.format):
            raise ValueError(
                f"{KEY}.format: {self.path} is by its content of {published.format} and not of {self.format}; "
                "set it to null"
            )
        name = self.space or ("w_plus" if published.vectors.ndim == 3 else "w" if rows else space.name)
        shape, vectors = generator.shape(name), published.vectors
        if name == "w_plus" and vectors.ndim == 2 and vectors.shape[1] == shape[-1]:
            vectors = torch.stack([in_rows(generator, vector) for vector in vectors])
        if vectors[0].numel() != torch.Size(shape).numel() or (vectors.ndim == 3 and vectors.shape[1:] != shape):
            raise ValueError(
                f"{KEY}.path: the vectors in {self.path} are {tuple(vectors.shape[1:])}, and latents of {name} are "
                f"{shape}; choose the generator that they were found for, or {KEY}.space"
            )
        settings = {"method": published.format, "file": Path(self.path).name}
        directions = {}
        for index, title in enumerate(self._names(len(vectors))):
            label = Label(meaning="as published", unit=published.unit, found={**settings, "index": index})
            directions[title] = Linear(name, vectors[index].view(shape), label)
        return directions

    def _names(self, count: int) -> list[str]:
        if self.names is None:
            stem = Path(self.path).stem
            return [stem] if count == 1 else [f"{stem}_{index}" for index in range(count)]
        if not self.names or len(self.names) > count or len(set(self.names)) < len(self.names):
            raise ValueError(f"{KEY}.names: {self.names} is no list of 1 to {count} different names; mend it, or null")
        return self.names
