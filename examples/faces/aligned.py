"""A table of landmarks for photos that CelebA has aligned already, where they lie at the same places in all of them.

python examples/faces/aligned.py celeba.tar landmarks.csv
"""

import argparse
import io

import numpy as np
from PIL import Image

from zstar.config.paths import place
from zstar.data.alignment import CELEBA_EYES, CELEBA_SIZE
from zstar.data.entries import list_entries
from zstar.data.landmarks import landmarks_table
from zstar.detectors.base import Face

# The eyes as published; the nose and the corners of the mouth on the average.
POINTS = np.array([*CELEBA_EYES, (88, 135), (73, 152), (105, 152)], dtype=float)


def landmarks(width: int, height: int) -> Face:
    """Those of an aligned picture that was scaled to this size."""
    scale = np.array([width, height]) / CELEBA_SIZE
    points = (POINTS + 0.5) * scale - 0.5
    return Face(points, float(np.ptp(points[:, 1])))


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="folder or .tar of aligned photos, of any size")
    parser.add_argument("table", help="CSV file to write")
    given = parser.parse_args()
    rows = []
    for entry in sorted(list_entries(given.path, "path"), key=lambda entry: entry.id):
        with Image.open(io.BytesIO(entry.content())) as picture:
            rows.append((entry.id, [landmarks(*picture.size)]))
    place(given.table).write_text(landmarks_table(rows), encoding="utf-8")
    print(f"{len(rows)} photos: {given.table}")


if __name__ == "__main__":
    main()
