"""Readings of a scorer along a traversal, and the strength at which it reads a given effect."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from zstar.annotations.base import AbstractAnnotation, AbstractScorer
from zstar.editability.base import Traversal

AREA = "area/"  # of a class: a share of the picture
HARDLY, USUAL = 0.002, 0.05  # areas: below the one there is nothing to take away, and the other is what a thing has
LADDER, REACH = 16, 2.0  # strengths that are tried, and how many times the useful range they go


def require_scorer(annotation: AbstractAnnotation, metric: str, factor: str | None) -> AbstractScorer:
    """Whoever can read any image, which a table of labels can't, and knows the factor that is asked for."""
    if not isinstance(annotation, AbstractScorer):
        kind = type(annotation).__name__.lower()
        raise ValueError(
            f"editability: {metric} has to read pictures that nobody has seen, which annotation={kind} can't; choose "
            "annotation=annotator or classifier, or leave it out"
        )
    if factor is not None and factor not in annotation.names:
        known = ", ".join(annotation.names)
        raise ValueError(f"editability.{metric}.factor: there is no '{factor}'; choose from {known}")
    return annotation


def find_factor(traversal: Traversal, scorer: AbstractScorer, name: str | None) -> str | None:
    """The attribute that a direction is meant for: the one asked for, that of the edit it was learned from, or the one
    of its name, or the area of the class whose units it switches; ``None`` if the scorer knows nothing of it."""
    if name is not None:
        return name
    edit = traversal.direction.label.found.get("edit")
    named = (
        edit.get("factor") if isinstance(edit, Mapping) else None,
        f"area/{traversal.direction.label.found.get('class')}",
        traversal.name,
        traversal.name.partition("-")[2],
    )
    return next((name for name in named if name in scorer.names), None)


@torch.no_grad()
def read(scorer: AbstractScorer, images: Float[Tensor, "n c h w"], size: int) -> Float[Tensor, "n k"]:
    """Scores of images, some at a time."""
    return torch.cat([scorer.score(part) for part in images.split(size)])


@dataclass(frozen=True)
class EffectMatch:
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


def match(traversal: Traversal, scorer: AbstractScorer, factor: str, effect: float) -> EffectMatch:
    """Move each image until its attribute has changed by ``effect``, in the direction in which there is room for it, or
    the area of a class by this share of it (:func:`wanted_change`).

    Strengths are tried in even steps from 0 up to twice the useful range, on both sides at once, until every image is
    there; between the two around the effect the strength is interpolated, unless the lower one can't be read. An image
    is taken to the side on which the attribute gets farther away from the end of its scale that it is nearer to. Asked
    again, the answer is remembered.
    """
    key = (scorer, factor, effect)  # not the scorer's id, which another may have once it is gone
    if key not in traversal.memory:
        traversal.memory[key] = _match(traversal, scorer, scorer.names.index(factor), effect)
    return traversal.memory[key]


def wanted_change(before: Float[Tensor, " n"], name: str, effect: float) -> Float[Tensor, " n"]:
    """The change of each image's attribute that is an effect of this size: away from the end of the scale that it is
    nearer to. Of an area it is a share: of what there is, which is to go, and where there is next to nothing, of what
    a thing usually has, which is to come. No image asks for another one."""
    if not name.startswith(AREA):
        return torch.where(before < 0.5, effect, -effect)
    return torch.where(before > HARDLY, -effect * before, effect * USUAL)


@torch.no_grad()
def _match(traversal: Traversal, scorer: AbstractScorer, column: int, effect: float) -> EffectMatch:
    before = read(scorer, traversal.before, traversal.size)
    wanted = wanted_change(before[:, column], scorer.names[column], effect)
    alpha = torch.full_like(wanted, torch.nan)
    ends = [end for end in (traversal.direction.label.low, traversal.direction.label.high) if end]
    gains = {end: torch.zeros_like(wanted) for end in ends}
    for rung in range(1, LADDER + 1):
        for end in ends:
            rows = alpha.isnan().nonzero().flatten()  # the others are there
            if not len(rows):
                break
            tried = torch.full_like(wanted, REACH * end * rung / LADDER)
            seen = before[:, column].clone()
            seen[rows] = read(scorer, traversal.render(tried, rows), traversal.size)[:, column]
            gain = (seen - before[:, column]) / wanted
            share = ((1 - gains[end]) / (gain - gains[end]).clamp_min(1e-6)).clamp(0, 1).nan_to_num(1.0)
            arrived = alpha.isnan() & (gain >= 1)
            alpha = torch.where(arrived, (rung - 1 + share) / rung * tried, alpha)
            gains[end] = gain
        if alpha.isfinite().all():
            break
    images = traversal.render(alpha.nan_to_num())
    return EffectMatch(alpha, images, before, read(scorer, images, traversal.size), alpha.isfinite(), column)
