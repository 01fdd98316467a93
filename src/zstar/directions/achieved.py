"""Strengths as they are achieved: the curve of a direction, read backwards."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from zstar.directions.base import Label

Point = tuple[float, float]  # α and the mean strength that it achieves


def rising(label: Label, beyond: bool = False) -> list[Point]:
    """The part of a curve around (0, 0) on which more is achieved by more, within the useful range or ``beyond`` it.

    Empty where there is no curve.
    """
    low, high = (-math.inf, math.inf) if beyond else (label.low, label.high)
    points = sorted((row["alpha"], row["achieved"]) for row in label.curve if low <= row["alpha"] <= high)
    if not points:
        return []
    ahead = _climb([(a, b) for a, b in points if a > 0])
    behind = _climb([(-a, -b) for a, b in reversed(points) if a < 0])
    return [(-a, -b) for a, b in reversed(behind)] + [(0.0, 0.0)] + ahead


def reach(label: Label, beyond: bool = False) -> Point | None:
    """The least and the greatest strength that are achieved; ``None`` where there is no curve, or it leads nowhere."""
    points = rising(label, beyond)
    return (points[0][1], points[-1][1]) if len(points) > 1 else None


def requested(label: Label, achieved: Sequence[float], beyond: bool = False) -> list[float]:
    """The α for each of some strengths within the reach, on straight lines between the points of the curve."""
    points, found = rising(label, beyond), []
    for value in achieved:
        below, above = next(((a, b) for a, b in pairwise(points) if value <= b[1]), (points[-2], points[-1]))
        share = (value - below[1]) / (above[1] - below[1])
        found.append(below[0] + min(max(share, 0.0), 1.0) * (above[0] - below[0]))
    return found


def in_achieved(label: Label, beyond: bool = False) -> Label | None:
    """The label with its useful range in achieved strengths; ``None`` where nothing is known of them."""
    ends = reach(label, beyond)
    return None if ends is None else replace(label, low=ends[0], high=ends[1])


def _climb(points: list[Point]) -> list[Point]:
    """The points, outwards from 0, as long as each achieves more than all before."""
    best, kept = 0.0, []
    for alpha, achieved in points:
        if achieved <= best:
            break
        best = achieved
        kept.append((alpha, achieved))
    return kept
