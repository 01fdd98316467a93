"""Agreement of units with classes: how many pixels they share, and what that says.

Bau et al., *GAN Dissection*, 2019, https://arxiv.org/abs/1811.10597; Bau et al., *Network Dissection*, 2017,
https://arxiv.org/abs/1704.05796.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from torch.nn import functional as F

AT_ONCE = 2**18  # values of upsampled maps at a time: those that a processor keeps near
UNLABELLED = -1


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
        size = labels[0].shape[1:]
        step = max(1, AT_ONCE // (size[0] * size[1]))
        for i, own in enumerate(maps):
            classes = [one[i].flatten() for one in labels]
            present = [self._note(variant, one) for variant, one in enumerate(classes)]
            for first in range(0, len(own), step):
                rows = torch.arange(first, min(first + step, len(own)), device=own.device)
                self._count(own, rows, classes, present, size)

    def counts(self, variant: int = 0) -> Counts:
        """What has been counted."""
        shared, active = self.shared[variant, :, :, : self.classes], self.active[variant]
        return Counts(
            above(shared, 1).permute(1, 2, 0), above(active, 2).permute(2, 0, 1),
            self.labelled[variant], self.total[variant],
        )  # fmt: skip

    def _note(self, variant: int, classes: Int64[Tensor, " p"]) -> Bool[Tensor, " c"]:
        """Count the labels of an image; which kinds of classes it has."""
        found = torch.bincount(classes[classes != UNLABELLED], minlength=self.classes)
        self.labelled[variant] += found
        present = torch.zeros(self.groups, dtype=torch.bool, device=found.device)
        present[self.kinds[found > 0]] = True
        self.total[variant] += present * classes.numel()
        return present

    def _count(
        self, own: Tensor, rows: Tensor, classes: Sequence[Tensor], present: Sequence[Tensor], size: torch.Size
    ) -> None:
        """Count some units of an image."""
        maps, steps = own[rows], self.levels.shape[1]
        if steps == 1:  # a unit whose map nowhere reaches its level has no pixel, and most of them are so
            level = self.levels[rows, 0]
            rows = rows[maps.amax(dim=(1, 2)) >= level - 1e-5 * level.abs()]
            maps = own[rows]
        if len(rows) == 0:
            return
        large = maps if maps.shape[1:] == size else _upsample(maps, size)
        large, levels = large.flatten(1), self.levels[rows]
        mask = (large > levels).to(large.dtype) if steps == 1 else None
        bins = None if mask is not None else (even_bins if self.even else bins_of)(large, levels)
        for variant, one in enumerate(classes):
            columns = one % (self.classes + 1)  # the unlabelled last
            if mask is not None:
                found = products(mask, columns, self.classes + 1)
            else:
                found = histogram(bins, columns, steps + 1, self.classes + 1)
            self.shared[variant, rows] += found
            self.active[variant][:, rows] += present[variant][:, None, None] * found.sum(dim=2)


def _upsample(maps: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(maps[None], size=tuple(size), mode="bilinear", align_corners=False)[0]


def products(mask: Float[Tensor, "u p"], classes: Int64[Tensor, " p"], columns: int) -> Int64[Tensor, "u 2 l"]:
    """Pixels of masks by class, as a product of matrices; they are in the second bin, and the first is left empty."""
    found = mask @ F.one_hot(classes, columns).to(mask.dtype)
    return F.pad(found.long()[:, None], (0, 0, 1, 0))


def bins_of(maps: Float[Tensor, "u p"], levels: Float[Tensor, "u t"]) -> Int64[Tensor, "u p"]:
    """The number of levels that each value is above."""
    return torch.searchsorted(levels, maps)


def even_bins(maps: Float[Tensor, "u p"], levels: Float[Tensor, "u t"]) -> Int64[Tensor, "u p"]:
    """The same for levels that are evenly spaced; ``maps`` is used up."""
    first, last = levels[:, :1], levels[:, -1:]
    steps = levels.shape[1]
    scale = (steps - 1) / (last - first).clamp(min=1e-30)
    return maps.sub_(first).mul_(scale).ceil_().clamp_(0, steps).long()


def histogram(
    bins: Int64[Tensor, "u p"], classes: Int64[Tensor, " p"], rows: int, columns: int
) -> Int64[Tensor, "u {rows} {columns}"]:
    """Pixels of each unit by bin and by class."""
    units = len(bins)
    place = (bins + torch.arange(0, units * rows, rows, device=bins.device)[:, None]).mul_(columns).add_(classes)
    return torch.bincount(place.flatten(), minlength=units * rows * columns).view(units, rows, columns)


def above(counts: Int64[Tensor, "*_"], axis: int) -> Int64[Tensor, "*_"]:
    """Counts by bin → counts above each level: those of all bins behind it."""
    ahead = counts.flip(axis).cumsum(dim=axis).flip(axis)
    return ahead.narrow(axis, 1, counts.shape[axis] - 1)
