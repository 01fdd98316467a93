"""What is painted in the study, where, and what the world itself would have drawn."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zstar.app.strokes import Stroke
from zstar.data.cottages import CLASSES, FACTORS, render

NAMES = list(FACTORS)
TREES = {
    side: {f"tree_{side}_x": 9, "tree_size": 7} for side in ("left", "right")
}  # factors → number of values of each that are tried, to find the nearest rendering


@dataclass(frozen=True)
class Task:
    """Something that a painter wants.

    Attributes:
        name: What tables call it.
        kind: The class that is drawn or removed.
        flag: The factor of the world that says whether it is there.
        on: Whether it is to be there.
        free: Factors whose values are open, because a painter does not say them → how many are tried.
    """

    name: str
    kind: str
    flag: str
    on: bool
    free: Mapping[str, int]

    @property
    def mode(self) -> str:
        """The brush's mode."""
        return "draw" if self.on else "remove"

    def possible(self, factors: Tensor) -> bool:
        """Whether a photo has what is to be removed, or lacks what is to be drawn."""
        return bool(factors[NAMES.index(self.flag)] == (0.0 if self.on else 1.0))

    def place(self, factors: Tensor) -> Tensor:
        """The pixels of the thing, ``[64, 64]`` of 0 and 1: where it is, or would be by the photo's own factors."""
        pair = torch.stack([factors, factors])
        pair[:, NAMES.index(self.flag)] = torch.tensor([0.0, 1.0])
        _, masks = render(pair)
        return ((masks[1] - masks[0])[CLASSES.index(self.kind)] > 0.5).float()

    def strokes(self, place: Tensor, kind: str) -> list[Stroke]:
        """Strokes that cover the thing: one down the middle of each of its parts."""
        made = []
        for part in parts(place):
            ys, xs = part.nonzero(as_tuple=True)
            width, middle = float(xs.max() - xs.min() + 1), float(xs.float().mean() + 0.5)
            size = width if self.on else width + 3  # a painter goes over the rim of what is to go
            top, bottom = float(ys.min()) + size / 2, float(ys.max()) + 1 - size / 2
            if self.kind == "tree" and self.on:
                bottom = max(top, bottom - 4)  # the crown; the trunk is the generator's business
            points = ((middle, min(top, bottom)), (middle, max(top, bottom)))
            made.append(Stroke(self.kind, points, size, kind, self.mode))
        return made

    def truths(self, factors: Tensor) -> Tensor:
        """What the world draws of the photo's factors with the thing there or gone, for all values that are open."""
        spans = [torch.linspace(FACTORS[name].low, FACTORS[name].high, count) for name, count in self.free.items()]
        found = []
        for values in itertools.product(*spans) if self.on else [()]:
            own = factors.clone()
            own[NAMES.index(self.flag)] = float(self.on)
            for name, value in zip(self.free, values, strict=False):
                own[NAMES.index(name)] = value
            found.append(own)
        return render(torch.stack(found))[0]


TASKS = (
    Task("remove the door", "door", "door_present", False, {}),
    Task("add a door", "door", "door_present", True, {"door_x": 9}),
    Task("add windows", "window", "window_present", True, {"window_size": 9}),
    Task("remove a tree", "tree", "tree_right_present", False, {}),
    Task("add a tree", "tree", "tree_right_present", True, TREES["right"]),
)


def parts(mask: Tensor) -> Sequence[Tensor]:
    """The connected parts of a mask, from left to right, by its columns."""
    columns = mask.any(dim=0)
    edges = torch.diff(columns.int(), prepend=torch.zeros(1).int(), append=torch.zeros(1).int())
    firsts, lasts = (edges == 1).nonzero().flatten().tolist(), (edges == -1).nonzero().flatten().tolist()
    found = []
    for first, last in zip(firsts, lasts, strict=True):
        part = torch.zeros_like(mask)
        part[:, first:last] = mask[:, first:last]
        found.append(part)
    return found
