"""Exemplars of an attribute: latents with it, and latents without."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zstar.annotations.base import ScoredLatents
from zstar.stats.streams import stream


@dataclass(frozen=True)
class Exemplars:
    """Two groups of latents, as rows of :attr:`ScoredLatents.latents`.

    Attributes:
        high, low: Rows that have most of the attribute, and least.
        middle: The score that lies between the two groups.
    """

    high: Int[Tensor, " a"]
    low: Int[Tensor, " b"]
    middle: float

    def shuffled(self, seed: int) -> "Exemplars":
        """The same groups, each in an order of its own."""
        rng = stream("order of exemplars", seed)
        high, low = (rows[torch.randperm(len(rows), generator=rng)] for rows in (self.high, self.low))
        return Exemplars(high, low, self.middle)


def exemplars(annotated: ScoredLatents, name: str, share: float, key: str, least: int = 3, floor: int = 0) -> Exemplars:
    """The groups of an attribute: the two classes of a label, or the ends of a score. Unknown scores (NaN) are out.

    Arguments:
        annotated: Scored latents.
        name: The attribute.
        share: Which part of the known scores each end is, at most a half.
        key: Of the configuration, for messages, such as ``direction.attribute``.
        least: Exemplars that each group has to have.
        floor: At least this many at each end, as far as the halves go.

    Raises:
        ValueError: There is no such attribute, nobody has it, all have it alike, or a group is too small.
    """
    scores = annotated.column(name)
    known = scores.isfinite().nonzero()[:, 0]
    values = scores[known]
    distinct = values.unique()
    if len(distinct) < 2:
        problem = f"is {distinct[0]:g} for all {len(values)} images" if len(values) else "is known for no image"
        raise ValueError(
            f"{key}.attributes: '{name}' {problem}, so there are no two groups; leave it out, or label more"
        )
    if len(distinct) == 2:
        high, low = known[values == distinct[1]], known[values == distinct[0]]
        middle = float(distinct.mean())
    else:
        order = values.argsort(stable=True)
        size = min(max(round(share * len(values)), floor, least), len(values) // 2)
        high, low = known[order[len(order) - size :]], known[order[:size]]
        middle = float(values[order[size - 1]] + values[order[-size]]) / 2 if size else 0.0
        if size and scores[low].max() == scores[high].min():
            raise ValueError(
                f"{key}.attributes: '{name}' is {float(scores[low].max()):g} at both ends of its scores; "
                f"lower {key}.share from {share}, or leave it out"
            )
    if min(len(high), len(low)) < least:
        raise ValueError(
            f"{key}.attributes: '{name}' has {len(high)} exemplars with it and {len(low)} without, and each group "
            f"needs {least}; label more, or leave it out"
        )
    return Exemplars(high, low, middle)


def choose(names: Sequence[str], attributes: list[str] | None, key: str) -> list[str]:
    """The chosen ones of the ``names`` of attributes, by default all; an empty list, or a name that is not there, is an
    error."""
    if attributes is None:
        return list(names)
    if not attributes:
        raise ValueError(f"{key}.attributes: the list is empty; name attributes, or set it to null for all")
    for name in attributes:
        if name not in names:
            choice = ", ".join(names)
            raise ValueError(f"{key}.attributes: there is no '{name}'; choose from {choice}")
    return list(attributes)


def flat(annotated: ScoredLatents, rows: Int[Tensor, " m"]) -> Float[Tensor, "m d"]:
    """Latents of these rows as plain vectors, in double precision."""
    return annotated.latents[rows].flatten(1).double()
