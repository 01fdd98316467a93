"""What sets of units are chosen and measured on: samples, values and boxes, each made once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.dissection.base import Parts, Purpose, Subject
from zstar.dissection.boxes import candidates, usual_places, usual_size
from zstar.dissection.scenes import Scenes, draw_scenes
from zstar.dissection.units import UnitSet
from zstar.dissection.values import class_means, values_off
from zstar.generators.reading import map_shapes
from zstar.segmenters.base import AbstractSegmenter

TRIES, LIKELY = 4, 0.3  # boxes in each scene to insert a class in, and the share of them that is used

LEARNED = 2  # times as many scenes to learn from

Boxed = tuple[Scenes, Float[Tensor, "m 1 h w"]]


@dataclass(frozen=True)
class Bench:
    """Samples of both purposes, and all units of some layers with their values.

    Attributes:
        subject: The generator and who looks at it.
        parts: What is done already.
        learning, choosing: Samples to learn from and to choose with, as the segmenter sees them.
        measuring: Other samples to measure on, as the judge sees them.
        shapes: Layer → channels, height and width of its map.
        means: The means of :func:`zstar.dissection.values.class_means`.
        absent: What switched off units are.
        boost: How far what switched on units are goes from the mean without the class towards that with it, and beyond.
        images: Pictures that each number is measured on.
    """

    subject: Subject
    parts: Parts
    learning: Scenes
    choosing: Scenes
    measuring: Scenes
    shapes: dict[str, tuple[int, int, int]]
    means: dict[str, Tensor]
    absent: Literal["zero", "mean"]
    boost: float
    images: int

    @classmethod
    def of(
        cls,
        subject: Subject,
        parts: Parts,
        layers: Sequence[str],
        absent: Literal["zero", "mean"] = "zero",
        boost: float = 1.0,
        images: int = 64,
    ) -> "Bench":
        """Draw the samples and read the means, or read them from the parts."""
        own = kept_scenes(subject, parts, "dissected", subject.segmenter)
        others = kept_scenes(subject, parts, "held out", subject.judge)
        half = len(own) // 2
        means = parts.once("means", lambda: class_means(subject, own, list(layers)))
        shapes = map_shapes(subject.generator, layers)
        return cls(subject, parts, own[:half], own[half:], others, shapes, means, absent, boost, images)

    def whole(self, layer: str, column: int) -> UnitSet:
        """All units of a layer in order, moved in full, with their values for a class."""
        count = self.shapes[layer][0]
        off = values_off(self.means, layer, column, self.absent)
        there, elsewhere = (self.means[f"{kind}/{layer}"][column] for kind in ("present", "absent"))
        on = torch.lerp(elsewhere, there, self.boost)
        return UnitSet(layer, self.shapes[layer], torch.arange(count), torch.ones(count), on, off)

    def having(self, which: Literal["learning", "choosing", "measuring"], column: int) -> Scenes:
        """Some of the samples that have a class."""
        return getattr(self, which).having(column, None if which == "learning" else self.images)

    def boxed(self, which: Literal["learning", "choosing", "measuring"], layer: str, column: int) -> Boxed:
        """Boxes of the usual size of a class in which it can be made to appear at all (see :func:`candidates`)."""
        box = usual_size(self.learning, column)
        likely = usual_places(self.learning, column, box)

        def make() -> dict[str, Tensor]:
            reader = self.subject.judge if which == "measuring" else self.subject.segmenter
            some, whole = (
                getattr(self, which)[: (LEARNED if which == "learning" else 1) * self.images],
                self.whole(layer, column),
            )
            scenes, masks = candidates(self.subject, reader, some, whole, box, column, likely, TRIES, LIKELY)
            return {"latents": scenes.latents, "labels": scenes.labels, "masks": masks}

        found = self.parts.once(f"boxes {which} {layer} {column}", make)
        return Scenes(found["latents"], found["labels"]), found["masks"]


def kept_scenes(subject: Subject, parts: Parts, purpose: Purpose, reader: AbstractSegmenter) -> Scenes:
    """:func:`draw_scenes`, from the parts where that is done already."""

    def make() -> dict[str, Tensor]:
        scenes = draw_scenes(subject, purpose, reader)
        return {"latents": scenes.latents, "labels": scenes.labels}

    kept = parts.once(f"scenes {purpose}", make)
    return Scenes(kept["latents"], kept["labels"])
