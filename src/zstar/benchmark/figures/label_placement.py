"""Placement of names beside the points of a scatter plot without overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.path import Path

RADII = (7.0, 12.0, 18.0, 26.0, 36.0, 48.0, 64.0, 84.0, 110.0, 140.0)  # points, near ones first
ANGLES = tuple(np.deg2rad([0, 45, -45, 180, 135, -135, 90, -90, 22, -22, 158, -158, 68, -68, 112, -112]).tolist())
BESIDE = 6  # so many of the radii are tried for a spot that covers no line either
NEAR = 13.0  # a label that is farther from its point than this gets a line to it

Boxes = Float[np.ndarray, "k 4"]  # left, bottom, right, top, in pixels


@dataclass(frozen=True)
class Label:
    """A name for the point of a row at ``x``, ``y`` (in the units of the axes)."""

    text: str
    x: float
    y: float
    color: tuple[float, float, float]
    row: str


def place_labels(
    axes: Axes,
    labels: Sequence[Label],
    points: Sequence[tuple[float, float]],
    lines: Sequence[Path] = (),
    size: float = 9.0,
) -> list[str]:
    """Write each label near its point, where it covers neither another label nor any of ``points``.

    Arguments:
        axes: Axes with their final limits, scales and size.
        labels: The most important first; one for which there is no room is left out.
        points: Points that must stay visible.
        lines: Curves that stay visible too if there is room beside them.

    Returns:
        The texts that were left out.
    """
    canvas: Any = axes.figure.canvas  # of Agg, which alone has a renderer
    renderer, scale = canvas.get_renderer(), axes.figure.dpi / 72
    inside = axes.get_window_extent(renderer).extents + np.array([2.0, 2.0, -2.0, -2.0])
    taken = _around(axes.transData.transform(np.array(points, dtype=float).reshape(-1, 2)), 4.5 * scale)
    spots = [_along(axes.transData.transform(line.vertices)) for line in lines]
    courses = _around(np.concatenate([*spots, np.zeros((0, 2))]), 2.0 * scale)
    missing = []
    for label in labels:
        probe = axes.text(0, 0, label.text, fontsize=size)
        extent = probe.get_window_extent(renderer)
        probe.remove()
        centre = axes.transData.transform((label.x, label.y))
        near = _candidates(centre, float(extent.width), float(extent.height), scale)
        within = (near[:, :2] >= inside[:2]).all(axis=1) & (near[:, 2:] <= inside[2:]).all(axis=1)
        free = within & ~_touched(near, taken)
        beside = free & ~_touched(near, courses) & (np.arange(len(near)) < BESIDE * len(ANGLES))
        chosen = np.flatnonzero(beside if beside.any() else free)
        if not len(chosen):
            missing.append(label.text)
            continue
        box, radius = near[chosen[0]], RADII[int(chosen[0]) // len(ANGLES)]
        line = {"arrowstyle": "-", "color": label.color, "lw": 0.6, "alpha": 0.7, "shrinkA": 0, "shrinkB": 3}
        middle = ((box[0] + box[2]) / 2 / scale, (box[1] + box[3]) / 2 / scale)
        note = axes.annotate(
            label.text, (label.x, label.y), middle, textcoords="figure points", ha="center", va="center", fontsize=size,
            color=label.color, annotation_clip=False, arrowprops=line if radius > NEAR else None,
            gid=f"name {label.row}",
        )  # fmt: skip
        if note.arrow_patch is not None:
            note.arrow_patch.set_gid(f"lead {label.row}")
        taken = np.concatenate([taken, box[None] + np.array([-2.0, -1.0, 2.0, 1.0])])
    return missing


def _candidates(centre: Float[np.ndarray, " 2"], width: float, height: float, scale: float) -> Boxes:
    """Boxes of a size around a point, the near ones first."""
    radius, angle = (part.ravel() for part in np.meshgrid(RADII, ANGLES, indexing="ij"))
    left = centre[0] + radius * scale * np.cos(angle) + (np.cos(angle) - 1) / 2 * width
    bottom = centre[1] + radius * scale * np.sin(angle) + (np.sin(angle) - 1) / 2 * height
    return np.stack([left, bottom, left + width, bottom + height], axis=1)


def _touched(boxes: Boxes, others: Float[np.ndarray, "m 4"]) -> np.ndarray:
    """Whether each box overlaps any of the others."""
    low = (boxes[:, None, :2] < others[None, :, 2:]).all(axis=2)
    high = (boxes[:, None, 2:] > others[None, :, :2]).all(axis=2)
    return (low & high).any(axis=1)


def _along(corners: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "m 2"]:
    """Spots on a line, a few pixels apart."""
    parts = list(zip(corners[:-1], corners[1:], strict=True))
    counts = [max(2, int(np.hypot(*(b - a)) / 4)) for a, b in parts]
    spots = [np.linspace(a, b, count) for (a, b), count in zip(parts, counts, strict=True)]
    return np.concatenate([*spots, np.zeros((0, 2))])


def _around(centres: Float[np.ndarray, "k 2"], radius: float) -> Boxes:
    return np.concatenate([centres - radius, centres + radius], axis=1)
