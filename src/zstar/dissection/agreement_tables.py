"""Tables of what units agree with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from zstar.dissection.agreement import Counts
from zstar.dissection.survey import Seen
from zstar.segmenters.base import AbstractSegmenter

UNITS = {
    "layer": pl.String, "unit": pl.Int64, "class": pl.String, "kind": pl.String, "iou": pl.Float64,
    "shuffled": pl.Float64, "iqr": pl.Float64, "level": pl.Float64, "active": pl.Float64,
}  # fmt: skip
NUMBERS = dict.fromkeys(("units", "shuffled", "beyond"), pl.Int64)
KS = {"layer": pl.String, "kind": pl.String, "bound": pl.Float64, **NUMBERS, "of": pl.Int64}
CLASSES = {"layer": pl.String, "class": pl.String, "kind": pl.String, **NUMBERS}
ALL = "all"

Label = Literal["beyond", "iou"]


@dataclass(frozen=True)
class Scores:
    """Agreement of the units of a layer, each with each class at the level that tells most of the two.

    Attributes:
        iou: Intersection over union, ``[k, u]``.
        iqr: Information quality ratio, ``[k, u]``.
        level: The level, ``[k, u]``.
        active: Share of the pixels above it, in pictures with some class of this kind, ``[k, u]``.
        label: The class that each unit is said to be of, ``[u]``.
    """

    iou: Float[Tensor, "k u"]
    iqr: Float[Tensor, "k u"]
    level: Float[Tensor, "k u"]
    active: Float[Tensor, "k u"]
    label: Int64[Tensor, " u"]

    @property
    def best(self) -> Float[Tensor, " u"]:
        """The IoU of each unit with its class."""
        return self.of_label(self.iou)

    def of_label(self, values: Float[Tensor, "k u"]) -> Float[Tensor, " u"]:
        """What a table says of each unit and its class."""
        return values.gather(0, self.label[None])[0]


Pair = tuple[Scores, Scores]  # with the classes of the pictures, and with those of other pictures


def best_steps(counts: Counts, kinds: Int64[Tensor, " k"]) -> Int64[Tensor, "k u"]:
    """The level of the greatest information quality ratio for each unit and class, by its number."""
    return counts.iqr(kinds).argmax(dim=0)


def score(
    levels: Float[Tensor, "u t"], counts: Counts, kinds: Int64[Tensor, " k"], step: Int64[Tensor, "k u"]
) -> Scores:
    """Agreement at a level for each unit and class."""
    iqr = counts.iqr(kinds)

    def chosen(values: Tensor) -> Tensor:
        return values.gather(0, step[None])[0]

    shares = counts.active[:, kinds].double() / counts.total[kinds].clamp(min=1).double()[:, None]
    spread = levels.T.double()[:, None].expand_as(iqr)
    iou = chosen(counts.iou(kinds))
    return Scores(iou, chosen(iqr), chosen(spread), chosen(shares), iou.argmax(dim=0))


def compare(seen: Seen, kinds: Int64[Tensor, " k"], label: Label) -> Pair:
    """Scores with the classes of the pictures and with those of others.

    A unit is of the class that it agrees best with: by ``beyond``, better than the same mask does with that class in
    other pictures, which a large class has many pixels in common with wherever a unit is; by ``iou``, at all, and with
    other pictures it then has levels and a class of its own.
    """
    step = best_steps(seen.true, kinds)
    true = score(seen.levels, seen.true, kinds, step)
    if label == "iou":
        return true, score(seen.levels, seen.shuffled, kinds, best_steps(seen.shuffled, kinds))
    null = score(seen.levels, seen.shuffled, kinds, step)
    chosen = (true.iou - null.iou).argmax(dim=0)
    return replace(true, label=chosen), replace(null, label=chosen)


def tables(pairs: Mapping[str, Pair], segmenter: AbstractSegmenter, bounds: Sequence[float]) -> dict[str, pl.DataFrame]:
    """The tables ``units``, ``agreement``, ``counts`` and ``layers``.

    Arguments:
        pairs: Layer → its scores.
        bounds: IoU from which on a unit counts as one of its class; ``layers`` is for the first.
    """
    return {
        "units": pl.DataFrame(list(_units(pairs, segmenter)), UNITS, orient="row"),
        "agreement": pl.DataFrame(list(_all(pairs, segmenter)), UNITS, orient="row"),
        "counts": pl.DataFrame(list(_counts(pairs, segmenter, bounds)), KS, orient="row"),
        "layers": pl.DataFrame(list(_layers(pairs, segmenter, bounds[0])), CLASSES, orient="row"),
    }


def _units(pairs: Mapping[str, Pair], segmenter: AbstractSegmenter) -> Iterator[tuple[Any, ...]]:
    for layer, (own, null) in pairs.items():
        values = (own.iou, null.iou, own.iqr, own.level, own.active)
        columns = [own.of_label(one).tolist() for one in values]
        for unit, (label, *row) in enumerate(zip(own.label.tolist(), *columns, strict=True)):
            name = segmenter.classes[label]
            yield layer, unit, name, segmenter.kinds[name], *row


def _all(pairs: Mapping[str, Pair], segmenter: AbstractSegmenter) -> Iterator[tuple[Any, ...]]:
    for layer, (own, null) in pairs.items():
        for place, name in enumerate(segmenter.classes):
            values = (own.iou, null.iou, own.iqr, own.level, own.active)
            for unit, row in enumerate(zip(*(one[place].tolist() for one in values), strict=True)):
                yield layer, unit, name, segmenter.kinds[name], *row


def _layers(pairs: Mapping[str, Pair], segmenter: AbstractSegmenter, bound: float) -> Iterator[tuple[Any, ...]]:
    """How many units of each layer are of each class."""
    for layer, (own, null) in pairs.items():
        found = [one.label[one.best > bound] for one in (own, null)]
        found.append(own.label[own.best - own.of_label(null.iou) > bound])
        counts = [torch.bincount(one, minlength=len(segmenter.classes)).tolist() for one in found]
        for name, *row in zip(segmenter.classes, *counts, strict=True):
            yield layer, name, segmenter.kinds[name], *row


def _counts(
    pairs: Mapping[str, Pair], segmenter: AbstractSegmenter, bounds: Sequence[float]
) -> Iterator[tuple[Any, ...]]:
    """k of n units, by layer and by kind, and of all."""
    kinds = list(dict.fromkeys(segmenter.kinds.values()))
    for bound in bounds:
        rows = list(_layers(pairs, segmenter, bound))
        for layer in [ALL, *pairs]:
            of = sum(len(own.label) for name, (own, _) in pairs.items() if layer in (ALL, name))
            for kind in [ALL, *kinds]:
                own = [row for row in rows if layer in (ALL, row[0]) and kind in (ALL, row[2])]
                yield layer, kind, bound, *(sum(row[place] for row in own) for place in (3, 4, 5)), of
