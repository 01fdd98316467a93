"""What else goes and comes when a class's units are off: which things depend on which."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import polars as pl
from torch import Tensor

from zstar.config.constraints import Within, require
from zstar.dissection.base import AbstractAnalysis, Findings, Parts, Subject
from zstar.dissection.causal_tables import with_intervals
from zstar.dissection.kinds import ALL, Kinds, kinds_of, require_kinds
from zstar.dissection.measure import Ablation, ablate
from zstar.dissection.pictures import heat
from zstar.dissection.scenes import aligned, draw_scenes

FEWEST = 6  # scenes of a kind that have the class, without which nothing is said of it


class Relations(AbstractAnalysis):
    """Objects and scenes: each class's units are switched off everywhere, and the pixels of all other classes counted,
    by kind of scene (GAN Dissection, https://arxiv.org/abs/1811.10597, section 4.2).

    Where the class had been, the others come into view; elsewhere, what changes depends on it, or shares its units.

    Arguments:
        images: Samples that it is measured on; those that have the class.
        kinds: Factor that the segmenter reads as well → names of even parts of its range, from low to high; ``null``
            for cottage and chapel, day and dusk, summer and autumn, as far as it reads them.
    """

    needs = ("causality",)
    passes = 3.0

    def __init__(
        self, images: Annotated[int, Within(FEWEST)] = 200, kinds: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        require("analysis.relations", Within(FEWEST), images=images)
        self.images, self.kinds = images, kinds

    def require(self, subject: Subject) -> None:
        require_kinds("analysis.relations.kinds", self.kinds or {}, subject.segmenter)

    def __call__(self, subject: Subject, found: Mapping[str, Findings], parts: Parts) -> Findings:
        subject = aligned(subject)
        classes, sets = list(subject.segmenter.classes), found["causality"].units
        scenes = draw_scenes(subject, "held out", subject.judge, self.images)
        kinds = kinds_of(subject, scenes, self.kinds, parts)
        rows: list[dict[str, Any]] = []
        samples: list[np.ndarray] = []
        for name, units in sets.items():
            column = classes.index(name)
            there = scenes.present(column)

            def measure(units: Any = units, column: int = column, there: Tensor = there) -> dict[str, Tensor]:
                return vars(ablate(subject, subject.judge, scenes[there], units, column))

            ablation = Ablation.of(parts.once(f"off {name}", measure))
            for kind, of in kinds.items():
                inside = of[there]
                if int(inside.sum()) >= FEWEST:
                    more, values = change_rows(ablation, inside, column, classes)
                    rows += [{"class": name, "kind": kind, "scenes": int(inside.sum()), **row} for row in more]
                    samples += values
        table = with_intervals(rows, samples)
        return Findings(
            {"changes": table, "kinds": _count(kinds)},
            {f"changes_{kind}": _heat(table, kind, classes) for kind in kinds},
        )


def change_rows(
    ablation: Ablation, inside: Tensor, column: int, classes: Sequence[str]
) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """For each class its pixels in a picture before and after, those that came into view where the thing had been, and
    its change elsewhere, as a share too; and the changes elsewhere of the pictures."""
    rows, samples = [], []
    for k, other in enumerate(classes):
        before, after, behind, lost, gained = (
            getattr(ablation, key)[inside, k].double() for key in ("before", "after", "behind", "lost", "gained")
        )
        elsewhere = after - before if k == column else gained - lost
        share = float(elsewhere.mean() / before.mean()) if before.mean() >= 1 else float("nan")
        means = {"before": before, "after": after, "behind": behind, "lost": lost, "gained": gained}
        means |= {"elsewhere": elsewhere}
        rows.append({"other": other, **{key: float(value.mean()) for key, value in means.items()}, "share": share})
        samples.append(elsewhere.numpy())
    return rows, samples


def _count(kinds: Kinds) -> pl.DataFrame:
    return pl.DataFrame([{"kind": name, "scenes": int(of.sum())} for name, of in kinds.items()])


def _heat(table: pl.DataFrame, kind: str, classes: Sequence[str]) -> Tensor:
    """Change of each class (columns) with the units of each class off (rows), in shares of its pixels."""
    some = table.filter(table["kind"] == kind)
    rows = list(dict.fromkeys(some["class"]))
    values = np.full((len(rows), len(classes)), np.nan)
    for row in some.iter_rows(named=True):
        if row["share"] is not None:
            values[rows.index(row["class"]), classes.index(row["other"])] = row["share"]
    what = "all scenes" if kind == ALL else f"scenes of the kind {kind}"
    return heat(
        values, [f"{name} off" for name in rows], classes, f"change of pixels, %, not where the thing was: {what}"
    )
