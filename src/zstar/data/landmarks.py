"""Landmarks of faces from a table, and a table of what a detector finds."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from zstar.config.paths import read_text
from zstar.detectors.base import Face

KEY = "data.landmarks"
COUNTS = (5, 68)


def read_landmarks(path: Path) -> dict[str, list[Face]]:
    """Name of each photo in a table → its faces, in the order of the rows.

    The first line names the columns, which commas, semicolons or tabs separate: the photo's name, then x and y of 5
    landmarks (left eye, right eye, nose, left and right corner of the mouth, as seen in the picture), or of iBUG's 68,
    in pixels of the photo, where 0 is the middle of the first one. A photo with several faces has several rows; one
    with none has a row of empty cells.

    Raises:
        ValueError: The table can't be read; one sentence with the line.
    """
    if not path.is_file():
        raise ValueError(
            f"{KEY}: there is no file {path}; give a table with a photo's name and 5 or 68 points in each row"
        )
    head, *lines = read_text(path).splitlines() or [""]
    faces: dict[str, list[Face]] = {}
    for number, row in enumerate(csv.reader(lines, delimiter=max(",;\t", key=head.count)), start=2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        found = faces.setdefault(cells[0], [])
        if any(cells[1:]):
            found.append(_face(cells, f"{KEY}: line {number} of {path}"))
    if not faces:
        raise ValueError(f"{KEY}: {path} has no rows below its first line, which names the columns")
    return faces


def _face(cells: list[str], where: str) -> Face:
    try:
        points = np.array([float(cell) for cell in cells[1:]])
    except ValueError:
        raise ValueError(f"{where} has a cell that is no number; give x and y of each landmark in pixels") from None
    if len(points) not in (2 * COUNTS[0], 2 * COUNTS[1]) or not np.isfinite(points).all():
        raise ValueError(f"{where} has {len(points)} numbers; give x and y of 5 or of 68 landmarks")
    points = points.reshape(-1, 2)
    return Face(points, float(np.ptp(points[:, 1])))


def landmarks_table(faces: Iterable[tuple[str, list[Face]]]) -> str:
    """The table of some photos' faces, as :func:`read_landmarks` reads it."""
    lines = ["image," + ",".join(f"x{k},y{k}" for k in range(1, COUNTS[0] + 1))]
    for name, found in faces:
        quoted = '"' + name.replace('"', '""') + '"' if set(name) & set(',"\n') else name
        rows = [",".join(f"{value:.2f}" for value in face.points.ravel()) for face in found]
        lines += [f"{quoted},{row}" for row in rows] or [quoted + "," * (2 * COUNTS[0])]
    return "\n".join(lines) + "\n"
