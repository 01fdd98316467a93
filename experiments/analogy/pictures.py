"""The photos of run.sh, its paintings where the analogies look for them, and the sheet of README.md.

python experiments/analogy/pictures.py sheet outputs/analogy --figures experiments/analogy
"""

import argparse
import shutil
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from zstar.data.cottages import Cottages
from zstar.data.reading import read_image
from zstar.images import to_uint8, write_png
from zstar.reports.captions import labelled
from zstar.runs.folder import by_age

PAIRS = {"swirls": (3, 17), "mosaic": (8, 23)}  # style → which held-out cottages are A, and what B′ is painted from
WIDTH = 256  # pixels of a picture in the sheet


def photos(top: Path, size: int) -> None:
    """A photo of each pair, and the scene that is painted."""
    for style, places in PAIRS.items():
        for name, place in zip(("photo", "scene"), places, strict=True):
            (top / style / name).mkdir(parents=True, exist_ok=True)
            write_png(top / style / name / f"{name}.png", Cottages(1, "test", size, first=place).read([0]).images[0])


def newest(top: Path, name: str) -> Path:
    """The picture of the newest run of a name, which has one."""
    return by_age(top, f"{name}_*/reconstructions/*.png")[-1]


def painting(top: Path, style: str) -> None:
    """What style transfer has made, where the analogies read it."""
    (top / style / "painting").mkdir(parents=True, exist_ok=True)
    shutil.copy(newest(top / "painted", style), top / style / "painting" / "scene.png")


def sheet(top: Path, figures: Path) -> None:
    """A row for each pair; how far the analogy of a photo with itself is from it is printed."""
    cells: list[Tensor] = []
    for style in PAIRS:
        named = {name: newest(top / "runs", f"{style}_{name}") for name in ("painted", "photographed", "same")}
        photo, scene = top / style / "photo" / "photo.png", top / style / "painting" / "scene.png"
        a, painted, photographed, b = (
            read_image(path, WIDTH) for path in (photo, named["painted"], named["photographed"], scene)
        )
        cells += [a, painted, photographed, b]
        same, itself = (to_uint8(read_image(path, 128)[None]).int() for path in (named["same"], photo))
        print(f"{style}: a photo with itself differs from it by {int((same - itself).abs().max())} of 255 at the most")
    labels = ["A, a photo", "A′ of it", "B of it", "B′, a painting"] * len(PAIRS)
    laid = F.interpolate(torch.stack(cells), size=(WIDTH, WIDTH), mode="nearest")
    write_png(figures / "pairs.png", labelled(laid, labels, 4, "A : A′ :: B : B′"))


def main() -> None:
    """Draw the photos, copy a painting, or lay the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("photos", "painting", "sheet"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--style", choices=PAIRS)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/analogy"))
    given = parser.parse_args()
    if given.what == "photos":
        photos(given.folder, given.size)
    elif given.what == "painting":
        painting(given.folder, given.style)
    else:
        sheet(given.folder, given.figures)


if __name__ == "__main__":
    main()
