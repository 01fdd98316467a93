"""What a scorer reads from images as a direction is walked, and the strength at which it reads a given effect."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from zstar.annotations.base import AbstractAnnotation, AbstractScorer
from zstar.editability.base import Walked

LADDER, REACH = 16, 2.0  # strengths that are tried, and how many times the useful range they go


def require_scorer(annotation: AbstractAnnotation, metric: str) -> AbstractScorer:
    """Whoever can read any image; a table of labels can't."""
    if not isinstance(annotation, AbstractScorer):
        kind = type(annotation).__name__.lower()
        raise ValueError(
            f"editability: {metric} has to read pictures that nobody has seen, which annotation={kind} can't; choose "
            "annotation=annotator or classifier, or leave it out"
        )
    return annotation


def find_factor(walked: Walked, scorer: AbstractScorer, asked: str | None) -> str | None:
    """The attribute that a direction is meant for: the one asked for, that of the edit it was learned from, or the one
    of its name; ``None`` if the scorer knows nothing of it."""
    if asked is not None:
        if asked not in scorer.names:
            raise ValueError(f"editability.*.factor: there is no '{asked}'; choose from {', '.join(scorer.names)}")
        return asked
    edit = walked.direction.label.found.get("edit")
    named = (edit.get("factor") if isinstance(edit, Mapping) else None, walked.name, walked.name.split("-")[-1])
    return next((name for name in named if name in scorer.names), None)


@torch.no_grad()
def read(scorer: AbstractScorer, images: Float[Tensor, "n c h w"], size: int) -> Float[Tensor, "n k"]:
    """Scores of images, some at a time."""
    return torch.cat([scorer.score(part) for part in images.split(size)])


@dataclass(frozen=True)
class Matched:
    """Images moved until the scorer reads the same effect in each of them.

    Attributes:
        alpha: The strength that this took, ``[n]``.
        images: What they look like there.
        before, after: Scores there and at α = 0, ``[n, k]``.
        reached: Which images got there at all; of the others nothing here means anything.
        column: Place of the attribute in the scores.
    """

    alpha: Float[Tensor, " n"]
    images: Float[Tensor, "n c h w"]
    before: Float[Tensor, "n k"]
    after: Float[Tensor, "n k"]
    reached: Bool[Tensor, " n"]
    column: int


def match(walked: Walked, scorer: AbstractScorer, factor: str, effect: float) -> Matched:
    """Move each image until its attribute has changed by ``effect``, in the direction in which there is room for it.

    Strengths are tried from 0 up to twice the useful range, on either side; between the two around the effect the
    strength is interpolated. An image is taken to the side on which the attribute gets farther away from the end of its
    scale that it is nearer to.
    """
    column, label = scorer.names.index(factor), walked.direction.label
    before = read(scorer, walked.before, walked.size)
    wanted = torch.where(before[:, column] < 0.5, effect, -effect)
    shares = torch.linspace(0, 1, LADDER + 1, device=walked.latent.device)[1:]
    alpha = torch.full_like(wanted, torch.nan)
    for end in (label.low, label.high):
        if end == 0:
            continue
        ladder = REACH * end * shares
        images = (walked.render(strength.expand(len(walked))) for strength in ladder)
        moved = torch.stack([read(scorer, some, walked.size)[:, column] for some in images])
        gain = torch.cat([torch.zeros_like(wanted)[None], (moved - before[:, column]) / wanted])
        enough = gain[1:] >= 1
        first = enough.float().argmax(dim=0)  # of the strengths that are enough
        low, high = gain.gather(0, first[None])[0], gain.gather(0, first[None] + 1)[0]
        share = ((1 - low) / (high - low).clamp_min(1e-6)).clamp(0, 1).nan_to_num(1.0)  # not shown before: no line
        found = (first + share) / LADDER * REACH * end
        nearer = enough.any(dim=0) & ~(alpha.abs() <= found.abs())
        alpha = torch.where(nearer, found, alpha)
    reached = alpha.isfinite()
    images = walked.render(alpha.nan_to_num())
    return Matched(alpha, images, before, read(scorer, images, walked.size), reached, column)
