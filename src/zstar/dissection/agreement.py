"""Agreement of units with classes: how many pixels they share, and what that says.

Bau et al., *GAN Dissection*, 2019, https://arxiv.org/abs/1811.10597; Bau et al., *Network Dissection*, 2017,
https://arxiv.org/abs/1704.05796.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from torch.nn import functional as F

AT_ONCE = 2**20  # values of upsampled maps at a time
EXACT = 2**24  # whole numbers below it are exact in single precision


@dataclass(frozen=True)
class Counts:
    """Pixels of the units of a layer, at t levels each, and of k classes, which are of c kinds.

    Attributes:
        shared: Pixels where a unit is above its level and a class is, ``[t, k, u]``.
        active: Pixels where it is above its level, in the images that have some class of a kind, ``[t, c, u]``.
        labelled: Pixels of a class, ``[k]``.
        total: Pixels of the images that have some class of a kind, ``[c]``.
    """

    shared: Int64[Tensor, "t k u"]
    active: Int64[Tensor, "t c u"]
    labelled: Int64[Tensor, " k"]
    total: Int64[Tensor, " c"]

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Counts)))

    def iou(self, kinds: Int64[Tensor, " k"]) -> Float64[Tensor, "t k u"]:
        """Intersection over union of each unit with each class; ``kinds`` is the kind of each class."""
        union = self.active[:, kinds] + self.labelled[:, None] - self.shared
        return self.shared.double() / (union.double() + 1e-20)

    def iqr(self, kinds: Int64[Tensor, " k"]) -> Float64[Tensor, "t k u"]:
        """Information quality ratio, in [0, 1]: of what a unit and a class together can tell of a pixel, how much each
        tells of the other: their mutual information over their joint entropy. 0 where neither tells anything."""
        total = self.total[kinds].double()[:, None].clamp(min=1)
        both, unit = self.shared / total, self.active[:, kinds] / total
        label = (self.labelled / total[:, 0])[:, None].expand_as(both)
        table = torch.stack([both, unit - both, label - both, 1 - unit - label + both]).clamp(min=0)
        joint = entropy(table)
        apart = entropy(torch.stack([unit, 1 - unit])) + entropy(torch.stack([label, 1 - label]))
        return torch.where(joint > 0, (apart - joint) / joint.clamp(min=1e-300), 0.0).clamp(min=0)


def entropy(shares: Float64[Tensor, "n t k u"]) -> Float64[Tensor, "t k u"]:
    """Entropy of a distribution over the first axis, in nats."""
    return -torch.special.xlogy(shares, shares.clamp(min=0)).sum(dim=0)


class Tally:
    """Counts pixels of the units of a layer and of classes, a batch of images after the other.

    A unit's map is upsampled to the size of the labels, bilinearly with half-pixel centres; a pixel is active where it
    is strictly above the level. Memory does not depend on the number of images.

    Arguments:
        levels: The levels of each unit, increasing.
        kinds: The kind of each class.
        variants: Number of labellings of the same images that are counted beside each other.
        even: Whether the levels of each unit are evenly spaced, so that nobody need search them.
    """

    def __init__(
        self, levels: Float[Tensor, "u t"], kinds: Int64[Tensor, " k"], variants: int = 1, even: bool = False
    ) -> None:
        self.levels, self.kinds, self.even = levels.contiguous(), kinds.to(levels.device), even
        self.classes, self.groups = len(kinds), int(kinds.max()) + 1
        units, steps = levels.shape
        none = levels.new_zeros
        self.shared = none(variants, units, steps + 1, self.classes + 1, dtype=torch.int64)  # by bin, not yet summed up
        self.active = none(variants, self.groups, units, steps + 1, dtype=torch.int64)
        self.labelled = none(variants, self.classes, dtype=torch.int64)
        self.total = none(variants, self.groups, dtype=torch.int64)

    def add(self, maps: Float[Tensor, "b u _ _"], *labels: Int64[Tensor, "b h w"]) -> None:
        """Count a batch. ``labels``, one for each variant, are the class of each pixel; −1 is none."""
        columns, rows = self.classes + 1, self.levels.shape[1] + 1
        classes = [one.flatten(1) % columns for one in labels]  # the unlabelled last
        present = [self._note(variant, one) for variant, one in enumerate(classes)]
        size = labels[0].shape[1:]
        step = max(1, min(AT_ONCE // (size[0] * size[1]), EXACT // (rows * columns)))
        for i in range(len(maps)):
            for first in range(0, maps.shape[1], step):
                units = slice(first, first + step)
                own = maps[i : i + 1, units]
                places = self._places(upsample(own, size), self.levels[units])
                for variant, one in enumerate(classes):
                    found = self._count(places, one[i], own.shape[1])
                    self.shared[variant, units] += found
                    self.active[variant, :, units] += present[variant][i, :, None, None] * found.sum(dim=2)

    def counts(self, variant: int = 0) -> Counts:
        """What has been counted."""
        shared, active = self.shared[variant, :, :, : self.classes], self.active[variant]
        return Counts(
            above(shared, 1).permute(1, 2, 0), above(active, 2).permute(2, 0, 1),
            self.labelled[variant], self.total[variant],
        )  # fmt: skip

    def _note(self, variant: int, classes: Int64[Tensor, "b p"]) -> Bool[Tensor, "b c"]:
        """Count the labels of a batch; which kinds of classes each image has."""
        count, columns = len(classes), self.classes + 1
        place = classes + torch.arange(0, count * columns, columns, device=classes.device)[:, None]
        found = torch.bincount(place.flatten(), minlength=count * columns).view(count, columns)[:, : self.classes]
        self.labelled[variant] += found.sum(dim=0)
        kinds = F.one_hot(self.kinds, self.groups).bool()
        present = ((found > 0)[:, :, None] & kinds).any(dim=1)
        self.total[variant] += present.sum(dim=0) * classes.shape[1]
        return present

    def _places(self, maps: Float[Tensor, "p u"], levels: Float[Tensor, "u t"]) -> tuple[Tensor, Tensor | None]:
        """The place of each value in a table of units and bins, and its pixel; with one level, of those above it only,
        which are few."""
        units, steps = levels.shape
        if steps == 1:
            found = nonzero(maps > levels[:, 0])
            return found % units * 2 + 1, found // units
        bins = even_bins(maps, levels) if self.even else torch.searchsorted(levels, maps.T.contiguous()).T.to(maps)
        return bins.add_(torch.arange(0, units * (steps + 1), steps + 1, device=maps.device)), None

    def _count(self, places: tuple[Tensor, Tensor | None], classes: Int64[Tensor, " p"], units: int) -> Tensor:
        """Pixels of each unit by bin and by class."""
        place, pixel = places
        rows, columns = self.levels.shape[1] + 1, self.classes + 1
        own = classes[:, None].to(place.dtype) if pixel is None else classes[pixel]
        found = torch.bincount((place * columns + own).flatten().long(), minlength=units * rows * columns)
        return found.view(units, rows, columns)


def upsample(maps: Float[Tensor, "1 u _ _"], size: torch.Size) -> Float[Tensor, "p u"]:
    """Maps of an image at another size, with the units of a pixel side by side, which is many times faster than with
    the pixels of a unit side by side."""
    packed = maps.contiguous(memory_format=torch.channels_last)
    if packed.shape[2:] != size:
        packed = F.interpolate(packed, tuple(size), mode="bilinear", align_corners=False)
    return packed[0].permute(1, 2, 0).flatten(0, 1)


def nonzero(mask: Bool[Tensor, "p u"]) -> Int64[Tensor, " n"]:
    """Where a mask is true, as numbers of its entries; on processors numpy finds the few of many soonest."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero()[:, 0]


def even_bins(maps: Float[Tensor, "p u"], levels: Float[Tensor, "u t"]) -> Float[Tensor, "p u"]:
    """The number of levels that each value is above, where they are evenly spaced."""
    first, last, steps = levels[:, 0], levels[:, -1], levels.shape[1]
    scale = (steps - 1) / (last - first).clamp(min=1e-30)
    return (maps - first).mul_(scale).ceil_().clamp_(0, steps)


def above(counts: Int64[Tensor, "*_"], axis: int) -> Int64[Tensor, "*_"]:
    """Counts by bin → counts above each level: those of all bins behind it."""
    ahead = counts.flip(axis).cumsum(dim=axis).flip(axis)
    return ahead.narrow(axis, 1, counts.shape[axis] - 1)
