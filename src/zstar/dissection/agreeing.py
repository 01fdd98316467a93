"""The analysis of agreement: which units are active where a class is."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import polars as pl
import torch
from torch import Tensor

from zstar.config.constraints import Within, require
from zstar.dissection.agreement_tables import ALL, Label, Pair, compare, tables
from zstar.dissection.base import AbstractAnalysis, Findings, Parts, Subject
from zstar.dissection.survey import Seen, kinds_of_classes, survey
from zstar.dissection.tops import Tops, find_tops, path, sheet
from zstar.dissection.units import UnitSet
from zstar.generators.reading import map_shapes
from zstar.images import grid

SPAN = (0.99, 0.0005)  # shares of a unit's values above the first and the last level
ROWS = 24  # units in a sheet of pictures
COLUMNS = 32  # pictures in a row of those that the page shows


class Agreement(AbstractAnalysis):
    """Units and the classes that they agree with (Bau et al., *GAN Dissection*, https://arxiv.org/abs/1811.10597).

    A unit's map, upsampled and cut at a level, is a mask; intersection over union (IoU) says how far it is the mask of
    a class. Beside it stands the IoU with masks of other pictures, which a unit agrees with by its place alone: where
    pictures are built alike, that is much, and only what is beyond it says that a unit knows the class.

    Arguments:
        rule: Where maps are cut: ``iqr``, for each class where mask and class tell most of each other (maximal
            information quality ratio), or ``quantile``, at the same share of each unit's values.
        share: That share.
        steps: Levels that ``iqr`` chooses from, evenly spaced from where 99 % of a unit's values are above to where
            0.05 % are.
        label: The class of a unit: ``beyond``, the one whose IoU exceeds that with masks of other pictures most, or
            ``iou``, the one of the greatest IoU, as published.
        bounds: IoU from which on a unit counts as one of its class; the first one is the one of the plots.
        tops: Pictures that are shown of each unit.
        best: Units of a set that stands for a class, of the layer that agrees best with it.
    """

    passes = 3.0

    def __init__(
        self,
        rule: Literal["iqr", "quantile"] = "iqr",
        share: Annotated[float, Within(0, 1, above=True)] = 0.005,
        steps: Annotated[int, Within(2)] = 100,
        label: Label = "beyond",
        bounds: Sequence[float] = (0.05, 0.04),
        tops: Annotated[int, Within(1)] = 8,
        best: Annotated[int, Within(1)] = 20,
    ) -> None:
        require("analysis.agreement", Within(0, 1, above=True), share=share)
        require("analysis.agreement", Within(2), steps=steps)
        require("analysis.agreement", Within(1), tops=tops, best=best)
        if not bounds or any(not 0 <= bound < 1 for bound in bounds):
            raise ValueError(f"analysis.agreement.bounds: {list(bounds)} are no IoU; give e.g. [0.05, 0.04]")
        self.rule, self.share, self.steps = rule, share, steps
        self.label, self.bounds, self.tops, self.best = label, list(bounds), tops, best

    def __call__(self, subject: Subject, found: Mapping[str, Findings], parts: Parts) -> Findings:
        if self.rule == "iqr":
            seen = survey(subject, SPAN, self.steps, self.tops, parts)
        else:
            seen = survey(subject, [self.share], 1, self.tops, parts)
        kinds, own = kinds_of_classes(subject)
        scores = {layer: compare(one, own, self.label) for layer, one in seen.items()}
        made = tables(scores, subject.segmenter, self.bounds)
        levels = {layer: true.of_label(true.level).float() for layer, (true, _) in scores.items()}
        tops = find_tops(subject, {layer: one.tops for layer, one in seen.items()}, levels)
        made["tops"] = top_table(seen, tops)
        pictures = {f"units_{layer}": picture for layer, picture in self._sheets(subject, scores, seen, tops)}
        pictures["samples"] = grid(tops.pictures, COLUMNS, gap=0)
        return Findings(made, pictures, self._units(subject, scores, seen), self._summary(subject, made, kinds))

    def _sheets(
        self, subject: Subject, scores: Mapping[str, Pair], seen: Mapping[str, Seen], tops: Tops
    ) -> list[tuple[str, Tensor]]:
        """For each layer, the units that agree best with their class, beyond what their place explains."""
        place = {sample: i for i, sample in enumerate(tops.samples)}
        made = []
        for layer, (own, null) in scores.items():
            rows = []
            beyond = own.best - own.of_label(null.iou)
            for unit in beyond.argsort(descending=True)[:ROWS].tolist():
                name = subject.segmenter.classes[int(own.label[unit])]
                samples = enumerate(seen[layer].tops[unit].tolist())
                cells = [(tops.pictures[place[s]], tops.outlines[layer, unit, rank]) for rank, s in samples]
                rows.append((f"{unit} {name} {own.best[unit]:.2f}", cells))
            made.append((layer, sheet(rows, f"{layer}: number of the unit, its class, IoU; where it is active")))
        return made

    def _units(self, subject: Subject, scores: Mapping[str, Pair], seen: Mapping[str, Seen]) -> dict[str, UnitSet]:
        """For each class that is there, the units that agree best with it."""
        shapes, sets = map_shapes(subject.generator, subject.layers), {}
        for place, name in enumerate(subject.segmenter.classes):
            top = {
                layer: true.iou[place].topk(min(self.best, true.iou.shape[1])) for layer, (true, _) in scores.items()
            }
            layer = max(top, key=lambda layer: float(top[layer].values.mean()))
            if float(top[layer].values.max()) <= 0:
                continue
            units = top[layer].indices
            present = seen[layer].present[place, units]
            one = torch.ones(len(units))
            sets[name] = UnitSet(layer, shapes[layer], units, one, present, torch.zeros_like(present))
        return sets

    def _summary(self, subject: Subject, made: Mapping[str, pl.DataFrame], kinds: list[str]) -> dict[str, object]:
        rows = made["counts"].filter(pl.col("layer") == ALL)
        counts = {
            f"{row['kind']} above {row['bound']:g}": {name: row[name] for name in ("units", "shuffled", "beyond", "of")}
            for row in rows.to_dicts()
        }
        said = [sentence(row) for row in rows.filter(pl.col("bound") == self.bounds[0]).to_dicts()]
        facts = {"bound": self.bounds[0], "rule": self.rule, "label": self.label, "kinds": kinds}
        return {**facts, "counts": counts, "sentences": said}


def sentence(row: Mapping[str, Any]) -> str:
    """k of n units, in words."""
    what = "some class" if row["kind"] == ALL else f"{row['kind']}s"
    return (
        f"{row['units']} of {row['of']} units correlate with {what} at IoU > {row['bound']:g}, "
        f"{row['shuffled']} with masks of other pictures, {row['beyond']} by so much more than with those"
    )


def top_table(seen: Mapping[str, Seen], tops: Tops) -> pl.DataFrame:
    """The samples that each unit is most active in, where they stand among the pictures, and the outlines, as paths in
    a square of 256 points a side."""
    place = {sample: i for i, sample in enumerate(tops.samples)}
    rows = [
        (layer, unit, rank, sample, place[sample], value, path(tops.outlines[layer, unit, rank]))
        for layer, own in seen.items()
        for unit, (samples, values) in enumerate(zip(own.tops.tolist(), own.peaks.tolist(), strict=True))
        for rank, (sample, value) in enumerate(zip(samples, values, strict=True))
    ]
    names = {"layer": pl.String, **dict.fromkeys(("unit", "rank", "sample", "place"), pl.Int64)}
    return pl.DataFrame(rows, names | {"value": pl.Float64, "outline": pl.String}, orient="row")
