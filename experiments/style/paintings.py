"""Draws the two pictures whose style is transferred: strokes of a brush along a swirling flow, and a mosaic.

python experiments/style/paintings.py --folder experiments/style
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from zstar.images import write_png
from zstar.stats.streams import stream

NIGHT = ((0.05, 0.08, 0.28), (0.10, 0.25, 0.55), (0.30, 0.55, 0.75), (0.93, 0.83, 0.45), (0.85, 0.55, 0.15))
CLAY = ((0.75, 0.28, 0.16), (0.93, 0.76, 0.45), (0.20, 0.42, 0.40), (0.10, 0.16, 0.22), (0.96, 0.93, 0.84))


def colours(share: Tensor, palette: tuple[tuple[float, ...], ...]) -> Tensor:
    """A colour of the palette for each number from 0 to 1, those between by their mixture: ``[3, h, w]``."""
    table = torch.tensor(palette)
    place = share.clamp(0, 1) * (len(palette) - 1)
    low = place.floor().long().clamp_max(len(palette) - 2)
    part = (place - low)[..., None]
    return (table[low] * (1 - part) + table[low + 1] * part).permute(2, 0, 1)


def strokes(size: int) -> Tensor:
    """White noise smeared along a flow (line integral convolution), in the colours of a smooth field, with relief."""
    rng = stream("strokes of a drawn painting", 0)
    coarse = torch.randn(1, 2, 4, 4, generator=rng)
    hills, tint = F.interpolate(coarse, size=(size, size), mode="bicubic")[0]
    across, down = (torch.gradient(hills, dim=dim)[0] for dim in (1, 0))
    length = (across.square() + down.square()).sqrt().clamp_min(1e-6)
    flow = torch.stack([-down / length, across / length], dim=-1) * (2 / size)  # along the lines of equal height
    line = torch.linspace(-1, 1, size)
    at = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
    grain = F.interpolate(torch.rand(1, 1, size // 2, size // 2, generator=rng), size=(size, size), mode="bicubic")
    total, here = torch.zeros(size, size), at[None]
    for _ in range(size // 16):
        total += F.grid_sample(grain, here, align_corners=True, padding_mode="reflection")[0, 0]
        here = here + F.grid_sample(flow.permute(2, 0, 1)[None], here, align_corners=True).permute(0, 2, 3, 1)
    bristles = (total - total.mean()) / total.std()
    base = 0.45 + 0.22 * tint + 0.10 * bristles
    relief = 0.10 * torch.gradient(bristles, dim=0)[0]
    return (colours(base, NIGHT) + relief).clamp(0, 1) * 2 - 1


def mosaic(size: int, tiles: int = 420) -> Tensor:
    """Cells of scattered points, each of one colour, with dark joints."""
    rng = stream("tiles of a drawn mosaic", 0)
    points = torch.rand(tiles, 2, generator=rng) * size
    line = torch.arange(size) + 0.5
    at = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).view(-1, 2)
    near = torch.cdist(at, points).topk(2, largest=False)
    joint = (near.values[:, 1] - near.values[:, 0] < 0.012 * size).view(size, size)
    field = F.interpolate(torch.randn(1, 1, 5, 5, generator=rng), size=(size, size), mode="bicubic")[0, 0]
    share = 0.5 + 0.3 * field.flatten()[(points.long() * torch.tensor([1, size])).sum(dim=1)]
    share = (share + 0.25 * torch.randn(tiles, generator=rng)).clamp(0, 1)
    picture = colours(share[near.indices[:, 0]].view(size, size), CLAY)
    return torch.where(joint, 0.35 * picture, picture) * 2 - 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("outputs/figures/style"))
    parser.add_argument("--size", type=int, default=256, help="pixels of a side")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    write_png(asked.folder / "swirls.png", strokes(asked.size))
    write_png(asked.folder / "mosaic.png", mosaic(asked.size))
