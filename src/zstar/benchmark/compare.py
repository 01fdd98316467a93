"""Comparison of rows: means with intervals, differences from a baseline, Pareto fronts, worst images."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from zstar.benchmark.columns import COSTS
from zstar.benchmark.features import Sets
from zstar.benchmark.rows import Row
from zstar.stats.bootstrap import quantiles
from zstar.stats.comparison import holm, mean_intervals, sign_flips

Entry = dict[str, Any]
UNTESTED: Entry = dict.fromkeys(["difference", "difference_low", "difference_high", "p"], math.nan)
WORST = 24  # entries of the failure gallery


@dataclass(frozen=True)
class Sampling:
    """Coverage of the intervals, bootstrap samples, and their seed; no test depends on it."""

    level: float = 0.95
    draws: int = 10_000
    seed: int = 0


def compare(rows: Sequence[Row], base: Row, metric: str, better: str, sampling: Sampling) -> dict[str, Entry]:
    """Row → mean, interval and difference from the baseline on the images that both have.

    The p-values are those of :func:`~zstar.stats.comparison.sign_flip`, corrected by Holm for all rows
    that are compared.
    Costs of a projection are measured and no sample: they have a difference and no test. Seconds that were taken of
    whole batches, and belong to many images, have no interval over images.
    """
    own = base.values.get(metric, {})
    samples = [np.array(list(row.values.get(metric, {}).values()), dtype=np.float64) for row in rows]
    apart = [np.zeros(0) if row is base else _differences(row.values.get(metric, {}), own) for row in rows]
    entries = _entries(rows, base, samples, apart, better, sampling, tested=metric not in COSTS)
    for row in rows:
        if metric == "seconds" and _has_batch_seconds(row):
            entries[row.id] |= dict.fromkeys(["low", "high", "difference_low", "difference_high"], math.nan)
    return entries


def compare_sets(rows: Sequence[Row], base: Row, sets: Sets, sampling: Sampling) -> dict[str, Entry]:
    """Comparison by the kernel distance between targets and reconstructions, from each image's contribution to it."""
    images = {row.id: sets.images(row) for row in rows}
    samples = [sets.contributions(row, images[row.id]) for row in rows]
    there, apart = set(images[base.id]), []
    for row in rows:
        shared = [image for image in images[row.id] if image in there and row is not base]
        apart.append(sets.contributions(row, shared) - sets.contributions(base, shared))
    entries = _entries(rows, base, samples, apart, "lower", sampling, tested=True)
    return {name: entry | {"median": math.nan} for name, entry in entries.items()}  # contributions mean nothing alone


def _entries(
    rows: Sequence[Row],
    base: Row,
    samples: Sequence[Float[np.ndarray, " _"]],
    apart: Sequence[Float[np.ndarray, " _"]],
    better: str,
    sampling: Sampling,
    tested: bool,
) -> dict[str, Entry]:
    """Row → summary of its values and of its differences from the baseline."""
    ends = mean_intervals([*samples, *apart], sampling.level, sampling.draws, sampling.seed)
    chances = sign_flips(apart) if tested else [math.nan] * len(rows)
    entries = {}
    for i, row in enumerate(rows):
        entry = describe(samples[i]) | {"low": ends[i][0], "high": ends[i][1]} | UNTESTED | {"pairs": len(apart[i])}
        if len(apart[i]):
            low, high = ends[len(rows) + i]
            entry |= {"difference": float(apart[i].mean()), "difference_low": low, "difference_high": high}
            entry["p"] = chances[i]
        entries[row.id] = entry
    add_verdicts(entries, base, better, sampling.level)
    return entries


def _differences(values: Mapping[str, float], own: Mapping[str, float]) -> Float[np.ndarray, " n"]:
    """Differences on the images that both have; that of two infinite values is none."""
    with np.errstate(invalid="ignore"):
        apart = np.array([np.subtract(values[image], own[image]) for image in values if image in own], dtype=np.float64)
    return apart[~np.isnan(apart)]


def describe(values: Float[np.ndarray, " n"]) -> Entry:
    """Number, mean and median of one value per image."""
    if not len(values):
        return {"n": 0, "mean": math.nan, "median": math.nan}
    return {"n": len(values), "mean": float(values.mean()), "median": quantiles(values, [0.5])[0]}


def add_verdicts(entries: Mapping[str, Entry], base: Row, better: str, level: float) -> None:
    """Correct the p-values of a metric by Holm, and add the verdict of each row against the baseline."""
    for entry, p in zip(entries.values(), holm([entry["p"] for entry in entries.values()]), strict=True):
        gain = entry["difference"] * (1 if better == "higher" else -1)
        entry["p"] = p
        verdict = "none" if math.isnan(p) else "same" if p >= 1 - level else "better" if gain > 0 else "worse"
        entry["verdict"] = verdict
    entries[base.id]["verdict"] = "baseline"


def pareto(values: Mapping[str, Mapping[str, Entry]], metric: str, cost: str, better: str) -> list[str]:
    """Rows that no other beats: none is at least as good at no higher a cost, and better in one of the two."""
    sign = -1.0 if better == "higher" else 1.0
    points = {
        name: (sign * entries[metric]["mean"], entries[cost]["mean"])
        for name, entries in values.items()
        if cost in entries and metric in entries
    }
    points = {name: point for name, point in points.items() if not any(map(math.isnan, point))}
    beaten = {
        name
        for name, (loss, cost) in points.items()
        if any(a <= loss and b <= cost and (a, b) != (loss, cost) for a, b in points.values())
    }
    return [name for name in points if name not in beaten]


def worst_images(rows: Sequence[Row], metric: str, title: str, better: str) -> tuple[list[Entry], str]:
    """The images at which each method fails most, worst first, and the rule that chose them.

    Arguments:
        rows: Best first: a method is shown by its first row.
    """
    first = list({row.method: row for row in reversed(rows)}.values())[::-1]
    each = 2 if 2 * len(first) <= WORST else 1
    entries = []
    for row in first[:WORST]:
        values = row.values.get(metric, {})
        worst = sorted(values, key=lambda image: values[image], reverse=better == "lower")[:each]
        entries += [{"image": image, "row": row.id, "metric": metric, "value": values[image]} for image in worst]
    entries.sort(key=lambda entry: entry["value"], reverse=better == "lower")
    which = "the two images" if each == 2 else "the image"
    rule = f"Of each method, in its best row, {which} with the worst {title} (mean over its seeds), worst first."
    if len(first) > WORST:
        rule += f" Only the best {WORST} methods are shown."
    return entries, rule + " The pictures are those of the first seed."


def _has_batch_seconds(row: Row) -> bool:
    """Whether seconds were taken of batches: fewer than half of the images have one of their own."""
    seconds = list(row.values.get("seconds", {}).values())
    return len(set(seconds)) * 2 < len(seconds) or len(seconds) < 2
