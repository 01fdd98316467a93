"""Seams after pasting, feathering and gradient-domain editing: the table and the pictures of README.md.

    python experiments/seams/compare.py --count 64
    python experiments/seams/compare.py --count 64 --figures experiments/seams

The things of one drawn world are put into another: the clouds, trees or chimneys of a cottage, and some pixels around
them, at the same place of the next cottage.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from zstar.data.cottages import CLASSES, Cottages
from zstar.images import enlarge, grid, write_png
from zstar.losses.fields import field
from zstar.postprocess.base import grow, smooth
from zstar.postprocess.gradients import clone
from zstar.stats.bootstrap import bootstrap_interval

THINGS = ("cloud", "tree")
MARGIN, FEATHER = 2, 3  # pixels around a thing, and on both sides of the seam


def paste(background: Tensor, source: Tensor, mask: Tensor) -> Tensor:
    """The source where the mask is."""
    return torch.where(mask > 0, source, background)


def feather(background: Tensor, source: Tensor, mask: Tensor) -> Tensor:
    """The same, faded over some pixels on both sides of the seam."""
    share = smooth(mask, FEATHER)
    return background + share * (source - background)


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "paste": paste,
    "feather": feather,
    "Poisson, import": clone,
    "Poisson, average": lambda *pictures: clone(*pictures, guide="average"),
    "Poisson, mixed": lambda *pictures: clone(*pictures, guide="mixed"),
}


def seam(image: Tensor, other: Tensor, mask: Tensor) -> Tensor:
    """Root mean square difference of the gradients of two pictures, over the pairs of neighbours across the seam."""
    total = count = 0.0
    for a, b, step in zip(field(image), field(other), field(mask), strict=True):
        total = total + ((a - b).square().mean(dim=1, keepdim=True) * step.abs()).flatten(1).sum(dim=1)
        count = count + step.abs().flatten(1).sum(dim=1)
    return (total / count).sqrt()


def inner(image: Tensor, source: Tensor, mask: Tensor) -> Tensor:
    """The same over the pairs within the mask."""
    pairs = (mask[..., 1:] * mask[..., :-1], mask[..., 1:, :] * mask[..., :-1, :])
    total = count = 0.0
    for a, b, pair in zip(field(image), field(source), pairs, strict=True):
        total = total + ((a - b).square().mean(dim=1, keepdim=True) * pair).flatten(1).sum(dim=1)
        count = count + pair.flatten(1).sum(dim=1)
    return (total / count.clamp_min(1)).sqrt()


def problems(count: int, resolution: int) -> tuple[Tensor, Tensor, Tensor]:
    """Backgrounds, sources and masks; pairs whose thing is too small or absent are left out."""
    found, first = [], 0
    places = [CLASSES.index(name) for name in THINGS]
    while len(found) < count:
        batch = Cottages(count=64, first=first, resolution=resolution).read(range(64))
        first += 64
        masks = batch.extras["masks"][:, places].amax(dim=1, keepdim=True).float()
        for row in range(63):
            mask = grow((masks[row : row + 1] > 0.5).float(), MARGIN)
            if 0.02 < mask.mean() < 0.5:
                found.append((batch.images[row + 1], batch.images[row], mask[0]))
    background, source, mask = (torch.stack(each) for each in zip(*found[:count], strict=True))
    return background, source, mask


def main() -> None:
    """Print the table and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=64, help="pairs of pictures")
    parser.add_argument("--resolution", type=int, default=64, help="pixels of a side")
    parser.add_argument("--shown", type=int, default=6, help="pairs in the figure")
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/seams"), help="folder of the figure")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    background, source, mask = problems(asked.count, asked.resolution)
    ring = grow(mask, 1) - mask
    lines = [
        "| way | seam against source | seam against background | inside against source | change beside it |",
        "|---|---|---|---|---|",
    ]
    rows = [background, source, paste(background, torch.ones_like(source), mask)]
    for name, way in WAYS.items():
        made = way(background, source, mask)
        moved = ((made - background).abs().mean(dim=1, keepdim=True) * ring).flatten(1).sum(dim=1)
        near = moved / ring.flatten(1).sum(dim=1)
        cells = [seam(made, source, mask), seam(made, background, mask), inner(made, source, mask), near]
        lines.append(f"| {name} | " + " | ".join(show(cell) for cell in cells) + " |")
        rows.append(made)
    print("\n".join(lines))
    shown = torch.cat([enlarge(row[: asked.shown].clamp(-1, 1)) for row in rows])
    write_png(asked.figures / "seams.png", grid(shown, asked.shown))


def show(values: Tensor) -> str:
    """A mean with its interval over pictures."""
    low, high = bootstrap_interval(values.numpy())
    return f"{values.mean():.4f} [{low:.4f}, {high:.4f}]"


if __name__ == "__main__":
    main()
