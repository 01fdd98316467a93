"""Rows of a leaderboard: runs that differ in their seed alone are one row."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from zstar.benchmark.discover import Run, failed_images
from zstar.benchmark.variants import BUDGET, flatten, short, variants
from zstar.runs.results import FAILED

COLUMN_OF = {"leakage_reached": "reached"}  # metric of a run → column of the board, where they differ
PerImage = dict[str, dict[str, float]]  # metric → image → value


@dataclass
class Row:
    """Runs of one method with the same settings, one per seed.

    Attributes:
        runs: In the order of their seeds.
        also: Runs with another budget that came to the same values, because neither budget limited them.
        variant: The settings that tell this row from the others of its method and space, with their values.
        id: Unique on the board.
    """

    runs: list[Run]
    also: list[Run] = field(default_factory=list)
    variant: dict[str, str] = field(default_factory=dict)
    id: str = ""
    _values: PerImage | None = None

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.runs[0].result["method"])

    @property
    def space(self) -> str:
        """Name of the latent space."""
        return str(self.runs[0].result["space"])

    @property
    def stochastic(self) -> bool:
        """Whether random numbers are used, as far as the runs say."""
        return any(bool(run.result.get("stochastic", True)) for run in self.runs)

    @property
    def trained(self) -> bool:
        """Whether an inverting network has a part in it."""
        return any(run.result.get("encoder") for run in self.runs)

    @property
    def failures(self) -> int:
        """Pairs of image and seed that were tried in vain."""
        return sum(len(failed_images(run)) for run in self.runs)

    @property
    def values(self) -> PerImage:
        """Mean over the seeds of each image's values; an image without a number is absent."""
        if self._values is None:
            seeds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
            for run in self.runs:
                for metric, values in finals(run).items():
                    for image, value in values.items():
                        if not np.isnan(value):
                            seeds[metric][image].append(value)
            self._values = {m: {i: sum(v) / len(v) for i, v in values.items()} for m, values in seeds.items()}
        return self._values

    @property
    def pictures(self) -> dict[str, Path]:
        """Image → PNG file of its reconstruction, with the first seed that has one."""
        return {image: path for run in reversed(self.runs) for image, path in run.picture_of.items()}

    def excluded(self, metrics: Iterable[str]) -> int:
        """Pairs of image and seed that have a result, but lack one of these metrics that others of the row have."""
        known = [metric for metric in metrics if metric in self.values]
        gaps = 0
        for run in self.runs:
            values, failed = finals(run), failed_images(run)
            gaps += sum(
                any(np.isnan(values.get(metric, {}).get(image, np.nan)) for metric in known)
                for image in run.images
                if image not in failed
            )
        return gaps


def finals(run: Run) -> PerImage:
    """The last value of every metric for each image that did not fail; not-a-number where there is none."""
    rows = run.values.filter((pl.col("metric") != FAILED) & ~pl.col("image").is_in(list(failed_images(run)))).sort(
        "step", maintain_order=True
    )
    last = rows.unique(["image", "metric"], keep="last", maintain_order=True)
    values: PerImage = {}
    for image, metric, value in last.select("image", "metric", "value").iter_rows():
        values.setdefault(COLUMN_OF.get(metric, metric), {})[image] = np.nan if value is None else value
    if (size := run.result.get("bytes_per_image")) is not None:
        values["megabytes"] = dict.fromkeys((i for v in list(values.values())[:1] for i in v), size / 1e6)
    return values


def make_rows(runs: Iterable[Run]) -> list[Row]:
    """Group the runs of one protocol into rows, and name them.

    A row is all runs with an equal config but for the seed. Rows of one method and space are told apart by the settings
    that differ among them. Two that differ in their budget alone, have the same seeds and came to the same values for
    every image (seconds apart) are one row: no budget stopped them. It shows the runs with the smaller budget and names
    both.
    """
    groups: dict[tuple[str, str], dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        groups[str(run.result["method"]), str(run.result["space"])][run.settings].append(run)
    methods = [method for method, _ in groups]
    rows = []
    for (method, space), settings in groups.items():
        own = [Row(sorted(same, key=lambda run: run.seed)) for same in settings.values()]
        for row, variant in zip(own, variants([flatten(row.runs[0].method_config) for row in own]), strict=True):
            row.variant = variant
        own = _unlimited(own)
        parts = [[space] if methods.count(method) > 1 else []] * len(own)
        for row, place in zip(own, parts, strict=True):
            words = [*place, *([short(row.variant)] if row.variant and len(own) > 1 else [])]
            row.id = f"{method}@{','.join(words)}" if words else method
        rows += own
    for row in rows:  # settings that read the same, such as null and left out
        if sum(row.id == other.id for other in rows) > 1:
            row.id += f"#{row.runs[0].settings}"
    return rows


def _unlimited(rows: list[Row]) -> list[Row]:
    """Rows that no budget limited, each once."""
    kept: list[Row] = []
    for row in sorted(rows, key=_budget):
        twin = next((other for other in kept if _equal_but_for_budget(row, other)), None)
        if twin is None:
            kept.append(row)
            continue
        twin.also += row.runs
        for key, value in row.variant.items():
            if key in BUDGET and value not in twin.variant[key].split("|"):
                twin.variant[key] += f"|{value}"
    return kept


def _budget(row: Row) -> tuple[float, float]:
    budget = row.runs[0].config.get("budget") or {}
    evaluations, seconds = (budget.get(name) for name in ("evaluations", "seconds"))
    return (np.inf if evaluations is None else evaluations, np.inf if seconds is None else seconds)


def _equal_but_for_budget(a: Row, b: Row) -> bool:
    rest = [{k: v for k, v in row.variant.items() if k not in BUDGET} for row in (a, b)]
    if rest[0] != rest[1] or not a.variant or [run.seed for run in a.runs] != [run.seed for run in b.runs]:
        return False
    return all(_equal_finals(finals(one), finals(other)) for one, other in zip(a.runs, b.runs, strict=True))


def _equal_finals(one: PerImage, other: PerImage) -> bool:
    names = (one.keys() | other.keys()) - {"seconds"}
    return all(_near(one.get(name, {}), other.get(name, {})) for name in names)


def _near(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    if one.keys() != other.keys():
        return False
    pairs = np.array([(one[image], other[image]) for image in one]).reshape(-1, 2)
    return bool(np.allclose(pairs[:, 0], pairs[:, 1], rtol=1e-9, atol=0, equal_nan=True))
