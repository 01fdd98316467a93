"""Directions from a file."""

from collections.abc import Sequence

from zstar.config.constraints import FilePath
from zstar.directions.base import AbstractDirection, AbstractFinder
from zstar.directions.library import load_directions
from zstar.spaces.base import AbstractSpace


class File(AbstractFinder):
    """The directions in a file that ``task=direction`` wrote, or some of them, each in its own space.

    Arguments:
        path: A safetensors file with its JSON card beside it, or the name of a shipped one.
        names: Which ones; None for all.

    Raises:
        ValueError: The file holds no directions, not these, or those of another generator.
    """

    def __init__(self, path: FilePath, names: Sequence[str] | None = None) -> None:
        self.path, self.names = path, None if names is None else list(names)
        self.candidates = self.names

    def find(self, space: AbstractSpace) -> dict[str, AbstractDirection]:
        directions = load_directions(self.path, space.generator)
        for name in self.names or []:
            if name not in directions:
                choice = ", ".join(directions)
                raise ValueError(f"direction.file.names: there is no '{name}' in {self.path}; choose from {choice}")
        return directions if self.names is None else {name: directions[name] for name in self.names}
