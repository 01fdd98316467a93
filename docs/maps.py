"""docs/maps.png: label maps and what the network that ships makes of them. From the root of the project:

python docs/maps.py

The first seven maps of the split test, which no network has seen, and one painted by hand, here.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from zstar.data.class_maps import ClassMaps, paint_classes
from zstar.data.cottages import CLASSES, Cottages
from zstar.encoders.trained import load_encoder
from zstar.images import write_png

COUNT = 7


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("maps.png"))
    arguments = parser.parse_args()
    batch = ClassMaps(Cottages(COUNT)).read(range(COUNT))
    maps = torch.cat([batch.extras["source"], by_hand()])
    network = load_encoder("maps64").network
    with torch.no_grad():
        made = network(maps, maps)
    true = torch.cat([batch.images, torch.ones(1, 3, 64, 64)])  # of the last there is none
    rows = [torch.cat(list(row), dim=2) for row in (maps, made, true)]
    write_png(arguments.out, torch.cat(rows, dim=1).repeat_interleave(2, dim=1).repeat_interleave(2, dim=2))


def by_hand() -> Tensor:
    """Two houses under a large sun."""
    label = torch.full((1, 64, 64), CLASSES.index("sky"))
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")

    def paint(name: str, where: Tensor) -> None:
        label[0, where] = CLASSES.index(name)

    paint("sun", (x - 50) ** 2 + (y - 11) ** 2 < 45)
    paint("hill", y > 40 - 4 * torch.cos(x / 9))
    paint("grass", y > 44)
    for left in (6, 38):
        paint("wall", (x >= left) & (x < left + 18) & (y >= 34) & (y < 52))
        paint("roof", (y >= 24) & (y < 34) & ((x - left - 9).abs() < y - 21))
        paint("door", (x >= left + 7) & (x < left + 11) & (y >= 44) & (y < 52))
        paint("window", (x >= left + 2) & (x < left + 6) & (y >= 38) & (y < 42))
    paint("tree", (x - 30) ** 2 + (y - 42) ** 2 < 30)
    return paint_classes(label, len(CLASSES))


if __name__ == "__main__":
    main()
