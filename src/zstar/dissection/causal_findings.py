"""Findings of causality: tables, pictures and sets of units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.dissection.base import Findings
from zstar.dissection.bench import Bench
from zstar.dissection.causal_tables import effect_table, leakage_table, measured_table, row_of
from zstar.dissection.pictures import curves, outlined, sheet
from zstar.dissection.scenes import picture
from zstar.dissection.units import UnitSet

SHOWN = 8  # pictures of a sheet
SCORES = ("kept_share", "elsewhere", "worst", "net", "inserted", "effect")  # what a card says of a class's units

Key = tuple[str, str, str, int]  # layer, class, method and number of units


@dataclass(frozen=True)
class Best:
    """The set of units that was chosen for a class.

    Attributes:
        value: How good it is.
        layer, method: Where it is, and how it was ranked.
        size: Most units that are moved at once.
        units: The set.
    """

    value: float
    layer: str
    method: str
    size: int
    units: UnitSet


def causal_findings(
    bench: Bench, effects: Mapping[str, Tensor], measured: Mapping[Key, Mapping[str, Tensor]], best: Mapping[str, Best]
) -> Findings:
    """All tables and pictures of what has been measured."""
    classes = list(bench.subject.segmenter.classes)
    curve = measured_table(measured, classes)
    keys = {name: (one.layer, name, one.method, one.size) for name, one in best.items()}
    chosen = {name: (key[0], measured[key]) for name, key in keys.items()}
    table = measured_table({key: measured[key] for key in keys.values()}, classes)
    pictures = {f"curves_{layer}": _curves(layer, measured, classes) for layer in effects}
    pictures |= {f"switched_{name}": switched(bench, one, classes.index(name)) for name, one in best.items()}
    return Findings(
        {
            "effects": effect_table(effects, classes),
            "curve": curve,
            "best": table,
            "leakage": leakage_table(chosen, classes),
        },
        pictures,
        {name: one.units for name, one in best.items()},
        {
            "scores": {row["class"]: {name: row[name] for name in SCORES} for row in table.iter_rows(named=True)},
            "layers": {name: one.layer for name, one in best.items()},
            "sentences": [_sentence(row) for row in table.iter_rows(named=True)],
        },
    )


def _sentence(row: Mapping[str, Any]) -> str:
    """What the units of a class do, in words."""
    return (
        f"{row['units']} units of {row['layer']} remove {100 * (1 - row['kept_share']):.0f} % of the pixels of "
        f"{row['class']} and make it appear in {100 * (row['inserted'] or 0):.0f} % of boxes where it can; the area "
        f"of the other class that changes most changes by {100 * (row['net'] or 0):.0f} % elsewhere"
    )


def _curves(layer: str, measured: Mapping[Key, Mapping[str, Tensor]], classes: Sequence[str]) -> Float[Tensor, "3 h w"]:
    """Share of a class's pixels that are left over the number of units, for each class and method."""
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for (where, name, method, size), found in measured.items():
        if where == layer:
            points = lines.setdefault(name, {}).setdefault(method, [])
            points.append((size, row_of(found, classes.index(name))["kept_share"]))
    return curves(lines, "units off", "pixels left", f"{layer}: pixels of a class with units off")


@torch.no_grad()
def switched(bench: Bench, best: Best, column: int) -> Float[Tensor, "c h w"]:
    """Held-out pictures as they are, with the units off everywhere, and with them on in a box."""
    subject, scenes = bench.subject, bench.having("measuring", column)[:SHOWN]
    boxed, masks = bench.boxed("measuring", best.layer, column)
    boxed, masks = boxed[:SHOWN], subject.generator.bring(masks[:SHOWN])
    rows = [picture(subject, scenes.latents), picture(subject, scenes.latents, best.units)]
    if len(boxed) == len(scenes):
        rows += [outlined(picture(subject, boxed.latents), masks)]
        rows += [picture(subject, boxed.latents, best.units, 1.0, masks)]
    return sheet(rows)
