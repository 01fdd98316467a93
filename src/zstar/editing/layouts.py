"""Layouts of an editing run: combinations of directions and strengths, and pairs of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

Combination = tuple[tuple[str, float], ...]  # directions with their strengths; applied in this order within a space


@dataclass(frozen=True)
class Sheet:
    """Some combinations of directions and strengths that are shown together.

    Attributes:
        name: Names of the directions, joined by ``+``.
        combinations: Applied to every image, from left to right and top to bottom.
        columns: Combinations in a row.
    """

    name: str
    combinations: tuple[Combination, ...]
    columns: int


def make_sheets(strengths: Mapping[str, list[float]], combine: str) -> list[Sheet]:
    """A sheet for each direction, one with all at once, or a table of two directions."""
    if not strengths:
        return []
    names, lists = list(strengths), list(strengths.values())
    if combine == "each":
        return [Sheet(name, tuple(((name, alpha),) for alpha in own), len(own)) for name, own in strengths.items()]
    if combine == "together":
        if len({len(own) for own in lists}) > 1:
            counts = ", ".join(f"{name} {len(own)}" for name, own in strengths.items())
            raise ValueError(f"strengths: combine=together needs equally many for each direction, not {counts}")
        rows = tuple(tuple(zip(names, row, strict=True)) for row in zip(*lists, strict=True))
        return [Sheet("+".join(names), rows, len(rows))]
    if len(names) != 2:
        raise ValueError(
            f"combine: a grid has two directions, not {len(names)}; choose two with only=[…], or combine=each"
        )
    combinations = tuple(tuple(zip(names, alphas, strict=True)) for alphas in product(*lists))
    return [Sheet("+".join(names), combinations, len(lists[1]))]


def choose_pairs(pairs: Sequence[Sequence[int]] | None, count: int) -> list[tuple[int, int]]:
    """Numbers of the images to interpolate between: ``pairs``, or neighbours if that is ``None``."""
    if count < 2:
        raise ValueError("interpolation: it takes two images and there is one; project more, or interpolation=null")
    for pair in pairs or []:
        if len(pair) != 2 or not all(0 <= place < count for place in pair):
            raise ValueError(f"pairs: {list(pair)} are no two of the images; give two numbers from 0 to {count - 1}")
    return [(a, b) for a, b in pairs] if pairs is not None else [(i, i + 1) for i in range(0, count - 1, 2)]
