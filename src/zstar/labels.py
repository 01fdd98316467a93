"""Names beside the points of a scatter plot, none upon another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.path import Path
from matplotlib.transforms import Bbox

RADII = (7.0, 12.0, 18.0, 26.0, 36.0, 48.0, 64.0, 84.0, 110.0, 140.0)  # points, near ones first
ANGLES = tuple(np.deg2rad([0, 45, -45, 180, 135, -135, 90, -90, 22, -22, 158, -158, 68, -68, 112, -112]))
NEAR = 13.0  # a label that is farther from its point than this gets a line to it


@dataclass(frozen=True)
class Label:
    """A name for the point at ``x``, ``y`` (in the units of the axes)."""

    text: str
    x: float
    y: float
    color: tuple[float, float, float]


def place_labels(
    axes: Axes,
    labels: Sequence[Label],
    points: Sequence[tuple[float, float]],
    lines: Sequence[Path] = (),
    size: float = 8.5,
) -> int:
    """Write each label near its point, where it covers neither another label nor any of ``points``.

    Arguments:
        axes: With its final limits, scales and size.
        labels: The most important first; one for which there is no room is left out.
        points: What must stay visible.
        lines: What stays visible too if there is room beside it.

    Returns:
        How many labels found a place.
    """
    figure = axes.figure
    renderer = figure.canvas.get_renderer()
    inside, scale = axes.get_window_extent(renderer), figure.dpi / 72
    marks = [_around(axes.transData.transform(point), 4.5 * scale) for point in points]
    taken: list[Bbox] = []
    courses = [_around(spot, 2.0 * scale) for line in lines for spot in _along(axes.transData.transform(line.vertices))]
    placed = 0
    for label in labels:
        probe = axes.text(0, 0, label.text, fontsize=size)
        extent = probe.get_window_extent(renderer)
        probe.remove()
        centre = axes.transData.transform((label.x, label.y))
        spot = _spot(centre, extent.width, extent.height, scale, inside, [*marks, *taken], courses)
        if spot is None:
            continue
        box, radius = spot
        line = {"arrowstyle": "-", "color": label.color, "lw": 0.6, "alpha": 0.7, "shrinkA": 0, "shrinkB": 3}
        axes.annotate(
            label.text, (label.x, label.y), ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2), textcoords="figure pixels",
            ha="center", va="center", fontsize=size, color=label.color, annotation_clip=False,
            arrowprops=line if radius > NEAR else None,
        )  # fmt: skip
        taken.append(Bbox.from_extents(box.x0 - 2, box.y0 - 1, box.x1 + 2, box.y1 + 1))
        placed += 1
    return placed


def _spot(
    centre: np.ndarray,
    width: float,
    height: float,
    scale: float,
    inside: Bbox,
    taken: Sequence[Bbox],
    courses: Sequence[Bbox],
) -> tuple[Bbox, float] | None:
    """The nearest free box of that size beside a point, and its distance in points."""
    places = [(radius, angle, near) for near in (RADII[:6], RADII) for radius in near for angle in ANGLES]
    for radius, angle, near in places:  # first a spot nearby that covers no line either
        avoided = taken if near is RADII else [*taken, *courses]
        across, up = np.cos(angle), np.sin(angle)
        x = centre[0] + radius * scale * across + (across - 1) / 2 * width
        y = centre[1] + radius * scale * up + (up - 1) / 2 * height
        box = Bbox.from_bounds(x, y, width, height)
        within = box.x0 >= inside.x0 + 2 and box.x1 <= inside.x1 - 2 and box.y0 >= inside.y0 + 2
        if within and box.y1 <= inside.y1 - 2 and not any(_touch(box, other) for other in avoided):
            return box, radius
    return None


def _along(corners: np.ndarray) -> np.ndarray:
    """Spots on a line, a few pixels apart."""
    parts = zip(corners[:-1], corners[1:], strict=True)
    counts = [(a, b, max(2, int(np.hypot(*(b - a)) / 4))) for a, b in parts]
    return np.concatenate([np.linspace(a, b, n) for a, b, n in counts]) if counts else np.zeros((0, 2))


def _touch(a: Bbox, b: Bbox) -> bool:
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


def _around(centre: np.ndarray, radius: float) -> Bbox:
    return Bbox.from_extents(centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
