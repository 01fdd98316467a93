"""Where a thing can be put: insertion at each place of many scenes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from zstar.config.constraints import Within, require
from zstar.dissection.base import AbstractAnalysis, Findings, Parts, Subject
from zstar.dissection.boxes import fill, usual_size
from zstar.dissection.causal_tables import SEEN, with_intervals
from zstar.dissection.pictures import overlaid
from zstar.dissection.scenes import Scenes, aligned, draw_scenes, picture, see
from zstar.dissection.units import UnitSet
from zstar.images import enlarge, grid

SHOWN = 7  # single scenes beside the mean of all
PURE = 0.8  # share of a box that is of one class where that is said to be what was there
FEWEST = 6  # boxes on a class, without which nothing is said of it


@dataclass(frozen=True)
class Placed:
    """A thing inserted at p places of n scenes.

    Attributes:
        seen: Share of each box that is of the class then, as the judge sees it.
        was: The class that was there, −1 where no class had most of the box, or where the thing was there already.
        change: Mean absolute change of the pixels of the box, in units of [−1, 1].
    """

    seen: Float[Tensor, "n p"]
    was: Int64[Tensor, "n p"]
    change: Float[Tensor, "n p"]


class Placing(AbstractAnalysis):
    """Where a class can be inserted (GAN Dissection, https://arxiv.org/abs/1811.10597, section 4.4): each class's units
    are switched on in a box of its usual size, at one place after the other.

    A generator that has learned where things stand does not draw them everywhere. Whether it draws nothing there, or
    something that is not seen as the thing, the change of the pixels in the box tells.

    Arguments:
        classes: Names of the classes; ``null`` for all that have units.
        images: Scenes.
        step: Cells of the layer from one place to the next.
    """

    needs = ("causality",)
    passes = 20.0

    def __init__(
        self,
        classes: Sequence[str] | None = None,
        images: Annotated[int, Within(1)] = 16,
        step: Annotated[int, Within(1)] = 4,
    ) -> None:
        require("analysis.placing", Within(1), images=images, step=step)
        self.classes, self.images, self.step = classes, images, step

    def require(self, subject: Subject) -> None:
        for name in self.classes or ():
            subject.segmenter.column(name, "analysis.placing.classes")

    def __call__(self, subject: Subject, found: Mapping[str, Findings], parts: Parts) -> Findings:
        subject = aligned(subject)
        classes, sets = list(subject.segmenter.classes), found["causality"].units
        if self.classes is not None:
            sets = {name: units for name, units in sets.items() if name in self.classes}
        own = draw_scenes(subject, "dissected", subject.segmenter, min(subject.samples, 10 * self.images))
        scenes = draw_scenes(subject, "held out", subject.judge, self.images)
        pictures, maps, rows, samples = {}, [], [], []
        for name, units in sets.items():
            column = classes.index(name)
            masks = self._places(scenes, units, usual_size(own, column))

            def measure(units: UnitSet = units, column: int = column, masks: Tensor = masks) -> dict[str, Tensor]:
                return vars(place(subject, scenes, units, column, masks))

            placed = Placed(**parts.once(f"placed {name} {self.step}", measure))
            appeared = (placed.seen >= SEEN).float().where(placed.was >= 0, torch.nan)
            maps += _map_rows(name, appeared, masks)
            pictures[f"where_{name}"] = _overlays(subject, scenes, appeared, masks)
            for k, other in enumerate(classes):
                at = placed.was == k
                if int(at.sum()) >= FEWEST:
                    rows.append(
                        {"class": name, "was": other, "boxes": int(at.sum()), "appeared": float(appeared[at].mean()),
                         "seen": float(placed.seen[at].mean()), "change": float(placed.change[at].mean())}
                    )  # fmt: skip
                    samples.append(appeared[at].double().numpy())
        return Findings({"places": pl.DataFrame(maps), "was": with_intervals(rows, samples)}, pictures)

    def _places(self, scenes: Scenes, units: UnitSet, box: tuple[int, int]) -> Float[Tensor, "p 1 h w"]:
        """A box around every so many cells of the layer, as far as it fits into the picture."""
        size = (scenes.labels.shape[1], scenes.labels.shape[2])
        steps = [max(1, self.step * side // cells) for side, cells in zip(size, units.shape[1:], strict=True)]
        corners = [torch.arange(0, side - edge + 1, s) for side, edge, s in zip(size, box, steps, strict=True)]
        tops, lefts = torch.meshgrid(*corners, indexing="ij")
        return fill(tops.flatten(), lefts.flatten(), box, size)


@torch.no_grad()
def place(subject: Subject, scenes: Scenes, units: UnitSet, column: int, masks: Float[Tensor, "p 1 h w"]) -> Placed:
    """Insert a thing at each place of each scene, one place at a time."""
    before = torch.cat([picture(subject, part.latents) for part in scenes.batches(subject.batch)])
    labels = scenes.labels.to(before.device)
    rows: list[list[Tensor]] = []
    for mask in subject.generator.bring(masks):
        inside, seen, change = mask[0] > 0, [], []
        for part, old in zip(scenes.batches(subject.batch), before.split(subject.batch), strict=True):
            new = picture(subject, part.latents, units, 1.0, mask[None])
            seen.append((see(subject.judge, new) == column)[:, inside].float().mean(dim=1))
            change.append((new.clamp(-1, 1) - old.clamp(-1, 1)).abs().mean(dim=1)[:, inside].mean(dim=1))
        there = labels[:, inside].long()
        most = there.mode(dim=1).values
        pure = (there == most[:, None]).float().mean(dim=1) >= PURE
        free = pure & ~(there == column).any(dim=1)
        rows.append([torch.cat(seen).cpu(), most.where(free, -1).cpu(), torch.cat(change).cpu()])
    return Placed(*(torch.stack(column, dim=1) for column in zip(*rows, strict=True)))


def spread(values: Float[Tensor, "n p"], masks: Float[Tensor, "p 1 h w"]) -> Float[Tensor, "n h w"]:
    """For each pixel the mean over the boxes that it is in; boxes without a number count nowhere, 0 where there is
    none."""
    known, planes = values.isfinite().float(), masks[:, 0].flatten(1)
    total = (values.nan_to_num() @ planes) / (known @ planes).clamp_min(1)
    return total.view(len(values), *masks.shape[2:])


def _map_rows(name: str, appeared: Float[Tensor, "n p"], masks: Float[Tensor, "p 1 h w"]) -> list[dict[str, Any]]:
    shares, counts = appeared.nanmean(dim=0), appeared.isfinite().sum(dim=0)
    rows = []
    for mask, share, count in zip(masks[:, 0], shares.tolist(), counts.tolist(), strict=True):
        y, x = (float(values.float().mean()) + 0.5 for values in mask.nonzero(as_tuple=True))
        rows.append({"class": name, "y": y, "x": x, "scenes": count, "share": share if np.isfinite(share) else None})
    return rows


def _overlays(
    subject: Subject, scenes: Scenes, appeared: Float[Tensor, "n p"], masks: Float[Tensor, "p 1 h w"]
) -> Tensor:
    """The mean picture with the share of scenes in which the thing appears, and single scenes, in yellow."""
    images = picture(subject, scenes.latents).clamp(-1, 1).cpu()
    first = overlaid(images.mean(dim=0), spread(appeared.nanmean(dim=0, keepdim=True), masks)[0])
    single = [overlaid(*pair) for pair in zip(images[:SHOWN], spread(appeared[:SHOWN], masks), strict=True)]
    return grid(enlarge(torch.stack([first, *single])), 1 + len(single), gap=4)
