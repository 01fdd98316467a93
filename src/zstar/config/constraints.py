"""Ranges of settings, and the sentence for a value outside of them."""

import math
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Within:
    """Finite numbers from ``low`` to ``high``, both included; with ``above``, ``low`` itself is left out.

    In an annotation, ``Annotated[int, Within(1)]``, it is part of the schema that ``zstar.config.check`` reads.
    """

    low: float
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and value != math.inf and not (self.above and value == self.low)

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"a number above {self.low}" if self.above else f"{self.low} or more"
        return f"a number above {self.low}, at most {self.high}" if self.above else f"{self.low} to {self.high}"


POSITIVE = Within(0, above=True)


@dataclass(frozen=True)
class FolderName:
    """The name of a folder, without a path."""

    def __contains__(self, value: str) -> bool:
        return value not in ("", ".", "..") and not set(value) & set("/\\\0")

    def __str__(self) -> str:
        return "the name of one folder, without / and \\"


@dataclass(frozen=True)
class Reads:
    """A setting that names a file or a folder, whose content a result depends on, not its place.

    In an annotation, ``Annotated[str, Reads()]``, it is what ``zstar.checkpoints.identity`` looks for.

    Attributes:
        inside: The file that is read where a folder is given; empty for all files in it.
        beside: A pattern of files in the same folder that are read with the one that is named, such as ``*.bin``.
    """

    inside: str = ""
    beside: str = ""


FilePath = Annotated[str, Reads()]
RunPath = Annotated[str, Reads("latents.safetensors")]  # a run folder or its latents


def require(group: str, bounds: Within, /, **values: float) -> None:
    """Raise ``ValueError`` for the first of ``values`` that is out of ``bounds``.

    ``require("task", Within(1), steps=steps)`` says "task.steps: 0 is not possible; set it to 1 or more".
    """
    for name, value in values.items():
        if value not in bounds:
            wrong = "possible" if math.isfinite(value) else "finite"
            raise ValueError(f"{group}.{name}: {value} is not {wrong}; set it to {bounds}")
