"""Orders of the units of a layer, and the sets that they give."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from zstar.dissection.base import Findings, Subject
from zstar.dissection.units import UnitSet
from zstar.stats.streams import stream


@dataclass(frozen=True)
class Ranking:
    """How important each unit of a layer is for a class.

    Attributes:
        on, off: For making it appear, and for removing it, ``[d]``.
        soft: Whether this is α, by which they are moved; else they are moved in full.
    """

    on: Float[Tensor, " d"]
    off: Float[Tensor, " d"]
    soft: bool = False

    def top(self, whole: UnitSet, count: int) -> UnitSet:
        """The ``count`` most important ones for either with their values; ``whole`` are all units of the layer."""
        on, off = (self._share(values, count) for values in (self.on, self.off))
        chosen = torch.maximum(on, off).nonzero().flatten()
        return UnitSet(
            whole.layer, whole.shape, chosen, on[chosen], whole.present[chosen], whole.absent[chosen], off[chosen]
        )

    def _share(self, values: Float[Tensor, " d"], count: int) -> Float[Tensor, " d"]:
        chosen = values.argsort(descending=True, stable=True)[:count]
        share = torch.zeros_like(values)
        share[chosen] = values[chosen] if self.soft else 1.0
        return share


def at_random(subject: Subject, layer: str, units: int, number: int) -> Ranking:
    """In no order, all moved in full."""
    values = torch.rand(units, generator=stream("random units", subject.seed, layer, number))
    return Ranking(values, values)


def agreement(found: Mapping[str, Findings], layer: str, units: int) -> dict[str, Tensor]:
    """Name of a class → IoU of each unit of a layer with it; empty where nobody has measured it."""
    table = found["agreement"].tables.get("agreement") if "agreement" in found else None
    if table is None:
        return {}
    values: dict[str, Tensor] = {}
    for (name,), rows in table.filter(table["layer"] == layer).group_by("class", maintain_order=True):
        values[str(name)] = torch.zeros(units)
        values[str(name)][torch.tensor(rows["unit"].to_list())] = torch.tensor(rows["iou"].to_list()).float()
    return values


def best_agreement(found: Mapping[str, Findings], layer: str) -> float | None:
    """The mean over the classes of a layer's highest IoU; ``None`` where nobody has measured it."""
    if "agreement" not in found or "agreement" not in found["agreement"].tables:
        return None
    table = found["agreement"].tables["agreement"]
    best = table.filter(table["layer"] == layer).group_by("class").agg(pl.col("iou").max())["iou"]
    return float(best.mean()) if len(best) else None
