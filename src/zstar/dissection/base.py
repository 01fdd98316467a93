"""The protocol of analyses: what is asked of a generator's units, and what is answered."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from zstar.checkpoints.io import load_weights, save_weights
from zstar.dissection.units import UnitSet
from zstar.generators.base import AbstractGenerator
from zstar.segmenters.base import AbstractSegmenter
from zstar.stats.streams import chunks, stream

Purpose = Literal["dissected", "held out"]


@dataclass(frozen=True)
class Subject:
    """A generator on the table, and who says what is in its pictures.

    Attributes:
        generator: The generator.
        segmenter: Says which class each pixel is of, where units are chosen.
        judge: A segmenter of another make, where what was chosen is measured; the same one if there is no other.
        layers: Names of the layers whose units are looked at.
        samples: Number of samples.
        seed: Other seeds, other samples.
        batch: Pictures at a time.
        drawn: Hears of how many pictures each time some are drawn from, for the progress; it changes no finding.
    """

    generator: AbstractGenerator
    segmenter: AbstractSegmenter
    judge: AbstractSegmenter
    layers: list[str]
    samples: int = 1000
    seed: int = 0
    batch: int = 32
    drawn: Callable[[int], None] | None = field(default=None, compare=False)

    @property
    def space(self) -> str:
        """The space that samples are drawn in."""
        return self.generator.drawn

    def require_layers(self, key: str, layers: Sequence[str]) -> None:
        """Refuse layers that are not looked at; ``key`` begins the sentence."""
        if unknown := [name for name in layers if name not in self.layers]:
            known = ", ".join(self.layers)
            raise ValueError(f"{key}: '{unknown[0]}' is not looked at; choose from {known}")

    def latents(self, purpose: Purpose, count: int | None = None) -> Iterator[Float[Tensor, "b ..."]]:
        """Samples of the prior, a batch at a time, on the generator's device; the same ones for the same purpose.

        What is learned from is ``"dissected"``, and what is measured ``"held out"``.
        """
        held_out = purpose == "held out"
        rng = stream("latents held out", self.seed) if held_out else stream("latents dissected", self.seed)
        for size in chunks(self.samples if count is None else count, self.batch):
            yield self.generator.bring(self.generator.sample(size, rng))
            if self.drawn is not None:
                self.drawn(size)


@dataclass
class Findings:
    """The answers of one analysis.

    Attributes:
        tables: Name → rows, which become ``<analysis>/<name>.parquet``.
        pictures: Name → picture [c, h, w] in [−1, 1], which become ``<analysis>/<name>.png``.
        units: Name of a class → its units, layer by layer.
        summary: Single facts, plain values.
    """

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    pictures: dict[str, Float[Tensor, "c h w"]] = field(default_factory=dict)
    units: dict[str, UnitSet] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """Parts of an analysis that are done, in files: after a kill only what is missing is done again.

    Attributes:
        folder: Where they are.
    """

    folder: Path

    def once(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors of a part, on the CPU: as they were kept, or made now and kept."""
        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            with torch.no_grad():
                save_weights(path, {key: value.cpu().contiguous() for key, value in make().items()}, {"kind": "part"})
        return load_weights(path)


class AbstractAnalysis(ABC):
    """Something that is asked of the units of a generator. Its settings come from conf/analysis/<name>.yaml.

    Attributes:
        needs: Names of the analyses whose findings it goes on from.
        passes: How often it draws as many pictures as there are samples, about, for the progress.
    """

    needs: tuple[str, ...] = ()
    passes: float = 1.0

    def require(self, subject: Subject) -> None:  # noqa: B027 - most name nothing of the subject's
        """Refuse settings that name what the subject does not have, before anything is drawn.

        Raises:
            ValueError: One sentence with the key.
        """

    @abstractmethod
    def __call__(self, subject: Subject, found: Mapping[str, Findings], parts: Parts) -> Findings:
        """The answers; ``found`` has those of the analyses before it, by name."""
