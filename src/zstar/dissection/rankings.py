"""Orders of the units of a layer, and the sets that they give."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from zstar.dissection.base import Findings, Subject
from zstar.dissection.units import UnitSet
from zstar.stats.streams import stream


@dataclass(frozen=True)
class Ranking:
    """The units of a layer from the most important one for a class to the least.

    Attributes:
        order: Their numbers.
        share: α of each unit of the layer, by its number.
    """

    order: Int64[Tensor, " d"]
    share: Float[Tensor, " d"]

    def top(self, whole: UnitSet, count: int) -> UnitSet:
        """The first ``count`` of them with their values; ``whole`` are all units of the layer in order."""
        chosen = self.order[:count]
        values = (value[chosen] for value in (self.share, whole.present, whole.absent))
        return UnitSet(whole.layer, whole.shape, chosen, *values)


def by(values: Float[Tensor, " d"]) -> Ranking:
    """From the largest value on, all moved in full."""
    return Ranking(values.argsort(descending=True, stable=True), torch.ones_like(values))


def by_share(share: Float[Tensor, " d"]) -> Ranking:
    """From the largest α on, each moved by its own."""
    return Ranking(share.argsort(descending=True, stable=True), share)


def at_random(subject: Subject, layer: str, units: int, number: int) -> Ranking:
    """In no order, all moved in full."""
    return by(torch.rand(units, generator=stream("random units", subject.seed, layer, number)))


def agreement(found: Mapping[str, Findings], layer: str, units: int) -> dict[str, Tensor]:
    """Name of a class → IoU of each unit of a layer with it; empty where nobody has measured it."""
    table = found["agreement"].tables.get("iou") if "agreement" in found else None
    if table is None:
        return {}
    values: dict[str, Tensor] = {}
    for (name,), rows in table.filter(table["layer"] == layer).group_by("class", maintain_order=True):
        values[str(name)] = torch.zeros(units)
        values[str(name)][torch.tensor(rows["unit"].to_list())] = torch.tensor(rows["iou"].to_list()).float()
    return values


def best_agreement(found: Mapping[str, Findings], layer: str) -> float | None:
    """The mean over the classes of a layer's highest IoU; ``None`` where nobody has measured it."""
    if "agreement" not in found or "iou" not in found["agreement"].tables:
        return None
    table = found["agreement"].tables["iou"]
    best = table.filter(table["layer"] == layer).group_by("class").agg(pl.col("iou").max())["iou"]
    return float(best.mean()) if len(best) else None
