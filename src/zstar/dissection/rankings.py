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

    def top(self, whole: UnitSet, count: int, on: int | None = None) -> UnitSet:
        """The most important ones with their values: ``count`` to switch off, and as many, or ``on``, to switch on.

        Arguments:
            whole: All units of the layer in order.
            count: How many are switched off.
            on: How many are switched on; as many, if it is not given.
        """
        share, off = self._share(self.on, count if on is None else on), self._share(self.off, count)
        chosen = torch.maximum(share, off).nonzero().flatten()
        values = (value[chosen] for value in (share, whole.present, whole.absent, off))
        return UnitSet(whole.layer, whole.shape, chosen, *values)

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
    values: dict[str, Tensor] = {}
    if (table := _of_layer(found, layer)) is None:
        return values
    for (name,), rows in table.group_by("class", maintain_order=True):
        values[str(name)] = torch.zeros(units)
        values[str(name)][torch.tensor(rows["unit"].to_list())] = torch.tensor(rows["iou"].to_list()).float()
    return values


def best_agreement(found: Mapping[str, Findings], layer: str) -> float | None:
    """The mean over the classes of a layer's highest IoU; ``None`` where nobody has measured it."""
    if (table := _of_layer(found, layer)) is None:
        return None
    best = table.group_by("class").agg(pl.col("iou").max())["iou"]
    return float(best.mean()) if len(best) else None


def _of_layer(found: Mapping[str, Findings], layer: str) -> pl.DataFrame | None:
    """The rows of a layer in the table of agreement, if there is one."""
    table = found["agreement"].tables.get("agreement") if "agreement" in found else None
    return None if table is None else table.filter(pl.col("layer") == layer)
