"""What switching units off and on does to the pixels of each class, as someone sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.dissection.base import Subject
from zstar.dissection.scenes import Scenes, count_pixels, picture, see
from zstar.dissection.units import UnitSet
from zstar.segmenters.base import AbstractSegmenter


@dataclass(frozen=True)
class Ablation:
    """Pixels of each class in each picture, ``[n, k]``, before and after something was switched off.

    Attributes:
        before, after: In the whole picture.
        behind: After, where the thing that was switched off had been: what was hidden behind it, and what is left.
        lost, gained: Elsewhere: pixels that were of the class and are no more, and that were not and are now.
    """

    before: Float[Tensor, "n k"]
    after: Float[Tensor, "n k"]
    behind: Float[Tensor, "n k"]
    lost: Float[Tensor, "n k"]
    gained: Float[Tensor, "n k"]

    def kept(self, column: int) -> float:
        """The share of a class's pixels that is still there, all pictures together."""
        return float(self.after[:, column].sum() / self.before[:, column].sum().clamp_min(1))

    def moved(self, column: int, least: float = 1.0) -> Float[Tensor, " k"]:
        """Change of each other class elsewhere, lost and gained pixels over those that it had; not-a-number for the
        class itself, and for classes of fewer than ``least`` pixels a picture, of which nothing can be said."""
        return self._over(self.lost + self.gained, column, least)

    def net(self, column: int, least: float = 1.0) -> Float[Tensor, " k"]:
        """Likewise the change of its area: gained less lost pixels."""
        return self._over(self.gained - self.lost, column, least)

    def _over(self, change: Tensor, column: int, least: float) -> Tensor:
        before = self.before.mean(dim=0)
        share = (change.mean(dim=0) / before.clamp_min(1e-9)).where(before >= least, torch.nan)
        share[column] = torch.nan
        return share

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Ablation":
        """As it was kept in a file."""
        return cls(*(tensors[field.name] for field in fields(cls)))


@torch.no_grad()
def ablate(subject: Subject, reader: AbstractSegmenter, scenes: Scenes, units: UnitSet, column: int) -> Ablation:
    """Switch units off everywhere; ``scenes`` as ``reader`` sees them."""
    k, rows = len(reader.classes), []
    for part in scenes.batches(subject.batch):
        old = part.labels.long()
        new = see(reader, picture(subject, part.latents, units)).cpu()
        place = old == column
        other = ~place & (old != new)
        kept = (old, new, new.where(place, -1), old.where(other, -1), new.where(other, -1))
        rows.append([count_pixels(labels, k) for labels in kept])
    return Ablation(*(torch.cat(counts) for counts in zip(*rows, strict=True)))


@torch.no_grad()
def fill_boxes(
    subject: Subject,
    reader: AbstractSegmenter,
    scenes: Scenes,
    masks: Float[Tensor, "n 1 h w"],
    units: UnitSet,
    column: int,
    strength: float = 1.0,
) -> Float[Tensor, " n"]:
    """Switch units on in a mask for each scene: the share of the mask that is seen as of the class then."""
    if not len(scenes):
        return torch.zeros(0)
    shares = []
    for part, mask in zip(scenes.batches(subject.batch), masks.split(subject.batch), strict=True):
        where = subject.generator.bring(mask)
        seen = see(reader, picture(subject, part.latents, units, strength, where)) == column
        shares.append(((seen * where[:, 0]).sum(dim=(1, 2)) / where.sum(dim=(1, 2, 3))).cpu())
    return torch.cat(shares)


def measure(
    subject: Subject,
    reader: AbstractSegmenter,
    having: Scenes,
    boxed: tuple[Scenes, Float[Tensor, "m 1 h w"]],
    units: Sequence[UnitSet],
    column: int,
) -> dict[str, Tensor]:
    """Pixels before and after ablation in scenes that have the class (see :class:`Ablation`), and the shares of boxes
    that are of the class where the units are on, ``on``, and where they are off, ``off``; for several sets one behind
    the other."""
    rows = []
    for one in units:
        found = ablate(subject, reader, having, one, column)
        boxes = {"on": 1.0, "off": -1.0}
        shares = {name: fill_boxes(subject, reader, *boxed, one, column, to) for name, to in boxes.items()}
        rows.append({**{field.name: getattr(found, field.name) for field in fields(found)}, **shares})
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
