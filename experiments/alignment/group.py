"""A group picture: several photos as they come, side by side; and what edits of its faces have left alone.

python experiments/alignment/group.py make outputs/alignment --count 6
python experiments/alignment/group.py read outputs/alignment    # behind run.sh: a table of README.md
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zstar.data.reading import read_large
from zstar.editing.photos import together
from zstar.images import grid, write_png
from zstar.reports.numbers import mean_with_interval
from zstar.runs.folder import by_age, safe_name

COLUMNS = 3


def make(top: Path, count: int) -> None:
    """Write ``group/group.png``."""
    files = sorted((top / "photos").glob("*.png"))[:count]
    photos = torch.stack([read_large(file, 3, "resize")[0] for file in files])
    write_png(top / "group" / "group.png", grid(photos, COLUMNS, gap=0))
    print(f"{len(files)} photos: {top}/group/group.png")


def changed(photo: Tensor, before: Tensor) -> Tensor:
    """The largest change of a pixel's channels, in levels of 255."""
    return (photo - before).abs().amax(dim=0) * 127.5


def read(top: Path) -> None:
    """A row for each strength: how much of the picture has changed at all, by how much, and within which square; and
    how much of it where all of its faces are edited."""
    before = read_large(top / "group" / "group.png", 3, "resize")[0]
    result = by_age(top, "group_*/result.json")[-1]
    folder = result.parent / "photos" / "Smiling"
    faces = [folder / safe_name(name) for name in json.loads(result.read_text(encoding="utf-8"))["images"]]
    print(f"{len(faces)} faces found\n")
    print("| α | pixels of the group that change, % [95 %] | by, of 255 [95 %] | within a square of, pixels | "
          "all faces at once, % |")  # fmt: skip
    print("|---|---|---|---|---|")
    for file in sorted(faces[0].glob("*.png"), key=lambda path: float(path.stem.removeprefix("Smiling"))):
        shares, means, sides = [], [], []
        for face in faces:
            levels = changed(read_large(face / file.name, 3, "resize")[0], before)
            touched = (levels > 0.5).nonzero().numpy()
            shares.append(100 * len(touched) / levels.numel())
            means.append(float(levels[levels > 0.5].mean()) if len(touched) else 0.0)
            sides.append(int(np.ptp(touched, axis=0).max()) + 1 if len(touched) else 0)
        cells = [file.stem.removeprefix("Smiling"), mean_with_interval(shares), mean_with_interval(means)]
        levels = changed(read_large(folder / safe_name(together("group.png")) / file.name, 3, "resize")[0], before)
        share = 100 * float((levels > 0.5).float().mean())
        print("| " + " | ".join([*cells, f"{min(sides)} to {max(sides)}", f"{share:.1f}"]) + " |")


def main() -> None:
    """Make, or read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["make", "read"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=6, help="photos in the picture")
    given = parser.parse_args()
    make(given.folder, given.count) if given.what == "make" else read(given.folder)


if __name__ == "__main__":
    main()
