"""Write a grid of cottages and a sweep of each factor as PNG files.

python experiments/cottages/figure.py --folder experiments/cottages
"""

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from zstar.data.cottages import FACTORS, render, sample_factors


def save(images: Tensor, columns: int, scale: int, path: Path) -> None:
    """Tile ``[n, 3, h, w]`` in [−1, 1] row by row, each pixel enlarged ``scale`` times."""
    rows = [torch.cat(list(row), dim=2) for row in images.split(columns)]
    pixels = ((torch.cat(rows, dim=1) + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous()
    picture = Image.fromarray(pixels.numpy())
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(path, optimize=True)


def sweep(names: list[str], steps: int, resolution: int) -> Tensor:
    """One row per factor: a scene with everything in it, and only that factor going from low to high."""
    scene = torch.tensor([0.5 * (f.low + f.high) if f.kind == "continuous" else 1.0 for f in FACTORS.values()])
    order = list(FACTORS)
    scene[order.index("is_chapel")] = 0
    scene[order.index("time_of_day")] = 0.3
    rows = scene.repeat(len(names), steps, 1)
    for row, name in zip(rows, names, strict=True):
        row[:, order.index(name)] = torch.linspace(FACTORS[name].low, FACTORS[name].high, steps)
    return render(rows.flatten(0, 1), resolution)[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("outputs/figures/cottages"))
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--resolution", type=int, default=64)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    images, _ = render(sample_factors(range(36), "test"), arguments.resolution)
    save(images, 9, arguments.scale, arguments.folder / "grid.png")
    pictures = sweep(list(FACTORS), 7, arguments.resolution)
    left, right = pictures.view(2, -1, 7, *pictures.shape[1:])
    save(torch.cat([left, right], dim=1).flatten(0, 1), 14, arguments.scale, arguments.folder / "sweeps.png")
