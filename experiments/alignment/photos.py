"""Photos as they come: aligned ones, turned, scaled and moved on a larger canvas, and a table of where their faces are.

    python experiments/alignment/photos.py celeba.tar outputs/alignment --first 4000 --count 64

Writes ``photos/`` and ``landmarks.csv``. The similarities are known, so that the landmarks are the true ones, as far as
the photos had been aligned by true ones. What is beyond the border of a photo has its mean colour.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from zstar.data.alignment import CELEBA_EYES, CELEBA_SIZE
from zstar.data.entries import list_entries
from zstar.data.landmarks import landmarks_table
from zstar.data.reading import read_large
from zstar.detectors.base import Face
from zstar.images import write_png
from zstar.stats.streams import stream

CANVAS = 256  # pixels of the side of a photo
TURN = math.radians(30)  # at the most, to either side
SCALE = (1.0, 1.6)  # pixels of a photo in place of one of the aligned picture
POINTS = np.array([*CELEBA_EYES, (88, 135), (73, 152), (105, 152)], dtype=float)  # nose and mouth on the average


def main() -> None:
    """Turn, scale, move, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="folder or .tar of aligned photos")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=4000)
    parser.add_argument("--count", type=int, default=64)
    given = parser.parse_args()
    entries = sorted(list_entries(given.path, "path"), key=lambda entry: entry.id)
    rows = []
    for entry in entries[given.first : given.first + given.count]:
        photo = read_large(entry.content(), fit="resize")[0]
        turn, scale, x, y = torch.rand(4, generator=stream("photos as they come", 0, entry.id)).tolist()
        height, width = photo.shape[1:]
        factor = SCALE[0] * (SCALE[1] / SCALE[0]) ** scale
        angle = (2 * turn - 1) * TURN
        spin = factor * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        # A face lies about the middle of its picture, and stays on the canvas as a whole.
        free = CANVAS - 0.7 * factor * height
        middle = CANVAS / 2 + free / 2 * np.array([2 * x - 1, 2 * y - 1]) - 0.5
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        write_png(given.folder / "photos" / f"{Path(entry.id).stem}.png", placed(photo, spin, centre, middle))
        points = (POINTS + 0.5) * [width, height] / CELEBA_SIZE - 0.5
        points = (points - centre) @ spin.T + middle
        rows.append((f"{Path(entry.id).stem}.png", [Face(points, float(np.ptp(points[:, 1])))]))
    (given.folder / "landmarks.csv").write_text(landmarks_table(rows), encoding="utf-8")
    print(f"{len(rows)} photos: {given.folder}/photos")


def placed(photo: torch.Tensor, spin: np.ndarray, centre: np.ndarray, middle: np.ndarray) -> torch.Tensor:
    """The canvas: a pixel at p shows the photo where ``spin`` (q − centre) + middle = p."""
    x, y = np.meshgrid(np.arange(CANVAS), np.arange(CANVAS))
    places = (np.stack([x, y], axis=2) - middle) @ np.linalg.inv(spin).T + centre
    size = np.array([photo.shape[2], photo.shape[1]])
    grid = torch.from_numpy((places + 0.5) / size * 2 - 1)[None].to(photo)
    mean = photo.mean(dim=(1, 2), keepdim=True)
    return F.grid_sample((photo - mean)[None], grid, "bicubic", "zeros", align_corners=False)[0].add(mean).clamp(-1, 1)


if __name__ == "__main__":
    main()
