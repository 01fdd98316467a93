"""Rows of the tables of causality."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor

from zstar.dissection.measure import Ablation
from zstar.stats.comparison import mean_intervals

SEEN = 0.5  # share of a box from which on a class has appeared in it
DRAWS = 1000
COLUMNS = 500  # samples whose intervals are found at once, so that memory does not grow with the number of units


def intervals(samples: Sequence[np.ndarray]) -> list[tuple[float, float]]:
    """The 95 % interval of each mean."""
    parts = [samples[first : first + COLUMNS] for first in range(0, len(samples), COLUMNS)]
    return [ends for part in parts for ends in mean_intervals(part, draws=DRAWS)]


def effect_table(effects: Mapping[str, Tensor], classes: Sequence[str]) -> pl.DataFrame:
    """Layer, unit and class → pixels a picture that are lost without the unit, with their interval."""
    rows, samples = [], []
    for layer, values in effects.items():  # [units, pictures, classes]
        for unit in range(len(values)):
            for k, name in enumerate(classes):
                rows.append({"layer": layer, "unit": unit, "class": name, "effect": float(values[unit, :, k].mean())})
                samples.append(values[unit, :, k].double().numpy())
    return with_intervals(rows, samples)


def causal_effect(found: Mapping[str, Tensor]) -> np.ndarray:
    """Share of each box that is of the class with the units on, less that with them off."""
    return (found["on"] - found["off"]).double().numpy()


def row_of(found: Mapping[str, Tensor], column: int) -> dict[str, Any]:
    """What a set of units does, in numbers.

    ``kept_share`` of the class's pixels are left once it is off; ``removed`` is the pixels a picture that go;
    ``elsewhere`` and ``worst`` are the mean and the largest change of the other classes elsewhere, lost and gained
    pixels over those that they had; ``net`` is the largest change of their areas; ``inserted`` is the share of boxes of
    which half is of the class once it is on, and ``effect`` the mean share of a box, on less off.
    """
    ablation = Ablation.of(found)
    moved, net = ablation.moved(column), ablation.net(column).abs()
    known = moved.isfinite()
    gone = ablation.before[:, column] - ablation.after[:, column]
    return {
        "kept_share": ablation.kept(column),
        "removed": float(gone.mean()) if len(gone) else math.nan,
        "elsewhere": float(moved[known].mean()) if known.any() else math.nan,
        "worst": float(moved[known].max()) if known.any() else math.nan,
        "net": float(net[known].max()) if known.any() else math.nan,
        "inserted": float((found["on"] >= SEEN).float().mean()) if len(found["on"]) else math.nan,
        "effect": float(causal_effect(found).mean()) if len(found["on"]) else math.nan,
    }


def score(found: Mapping[str, Tensor], column: int) -> float:
    """By how much a set is good for a class: what it removes, and inserts, less what it changes elsewhere."""
    row = row_of(found, column)
    inserted = float(found["on"].mean()) if len(found["on"]) else 0.0
    return (1 - row["kept_share"]) + inserted - (row["worst"] if math.isfinite(row["worst"]) else 0.0)


def measured_table(
    measured: Mapping[tuple[str, str, str, int], Mapping[str, Tensor]], classes: Sequence[str]
) -> pl.DataFrame:
    """Layer, class, method and number of units → :func:`row_of`, with the interval of ``effect``."""
    rows, samples = [], []
    for (layer, name, method, size), found in measured.items():
        rows.append({"layer": layer, "class": name, "method": method, "units": size})
        rows[-1] |= row_of(found, classes.index(name))
        samples.append(causal_effect(found))
    return with_intervals(rows, samples)


def leakage_table(best: Mapping[str, tuple[str, Mapping[str, Tensor]]], classes: Sequence[str]) -> pl.DataFrame:
    """Class and other class → pixels a picture before, of them lost elsewhere, gained elsewhere, and seen where the
    class had been, once the class's best set is off; ``moved`` and ``net`` as shares of what it had."""
    rows = []
    for name, (layer, found) in best.items():
        column, ablation = classes.index(name), Ablation.of(found)
        moved, net = ablation.moved(column), ablation.net(column)
        for k, other in enumerate(classes):
            parts = {
                key: float(getattr(ablation, key)[:, k].mean())
                for key in ("before", "after", "behind", "lost", "gained")
            }
            rows.append({"class": name, "layer": layer, "other": other, **parts})
            rows[-1] |= {"moved": float(moved[k]), "net": float(net[k])}
    return pl.DataFrame(rows).fill_nan(None)


def with_intervals(rows: list[dict[str, Any]], samples: Sequence[np.ndarray]) -> pl.DataFrame:
    for row, (low, high) in zip(rows, intervals(samples), strict=True):
        row |= {"low": low, "high": high}
    return pl.DataFrame(rows).fill_nan(None)
