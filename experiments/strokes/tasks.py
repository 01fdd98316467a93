"""Write the pictures, the strokes and the true answers of the study: ``python tasks.py FOLDER [--each 4]``.

A factor of the world moves by half of its range, away from the nearer end; strokes are sampled from the picture that
the world then draws, by its exact masks, and nothing else of that picture is shown to the method.
"""

import argparse
import json
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from zstar.data.cottage_factors import FACTORS
from zstar.data.cottages import CLASSES, Cottages, render
from zstar.images import to_pil, to_uint8
from zstar.stats.streams import stream

NAMES = list(FACTORS)
HOUSE = ("wall", "roof", "dome", "door", "window", "chimney")
TASKS = {  # kind of stroke and factor → the classes that strokes are sampled from, and the flag that has to be set
    ("color", "roof_hue"): (("roof", "dome"), None),
    ("color", "wall_warmth"): (("wall",), None),
    ("color", "season"): (("grass", "tree"), None),
    ("color", "time_of_day"): (("sky",), None),
    ("sketch", "house_x"): (HOUSE, None),
    ("sketch", "roof_height"): (HOUSE, None),
    ("warp", "house_x"): (HOUSE, None),
    ("warp", "sun_x"): (("sun",), "sun_present"),
}
DABS, RADIUS = 3, 2.5  # strokes of colour, and how thick they are, in pixels


def main() -> None:
    """Write ``before/``, ``after/`` and ``strokes/``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=4, help="tasks of each kind of stroke and factor")
    parser.add_argument("--split", default="test", help="of the cottages: test, or validation to choose settings on")
    arguments = parser.parse_args()
    data, number = Cottages(256, arguments.split), 0
    for (kind, factor), (classes, flag) in TASKS.items():
        made = 0
        while made < arguments.each:
            before = data.read([number]).extras["factors"][0]
            number += 1
            if flag is not None and before[NAMES.index(flag)] < 0.5:
                continue
            name = f"{kind}-{factor}-{made}"
            write(arguments.folder, name, kind, changed(before, factor), classes)
            made += 1


def changed(before: Tensor, factor: str) -> Tensor:
    """The factors before and after, ``[2, k]``."""
    place, range_ = NAMES.index(factor), FACTORS[factor]
    pair, half = torch.stack([before, before]), (range_.high - range_.low) / 2
    pair[1, place] += half if before[place] < range_.low + half else -half
    return pair


def write(folder: Path, name: str, kind: str, factors: Tensor, classes: tuple[str, ...]) -> None:
    """One task: the picture, the true one, and the strokes."""
    images, masks = render(factors)
    inside = masks[:, [CLASSES.index(one) for one in classes]].sum(dim=1).clamp(max=1)
    for side, image in zip(("before", "after"), images, strict=True):
        (folder / side).mkdir(parents=True, exist_ok=True)
        to_pil(image).save(folder / side / f"{name}.png")
    layer, entry = {"color": color, "sketch": sketch, "warp": warp}[kind](name, images, inside, factors)
    own = folder / "strokes" / name
    own.mkdir(parents=True, exist_ok=True)
    Image.fromarray(layer.numpy(), "RGBA").save(own / f"{kind}.png")
    content = {"kind": "layers", "version": 1, "layers": [{"kind": kind, "file": f"{kind}.png", **entry}]}
    (own / "strokes.json").write_text(json.dumps(content), encoding="utf-8")


def color(name: str, images: Tensor, inside: Tensor, factors: Tensor) -> tuple[Tensor, dict]:
    """Some dabs within the region, each in its mean colour there."""
    rows, columns = (inside[1] > 0.99).nonzero(as_tuple=True)
    axis = torch.arange(inside.shape[-1])
    pixels, layer = to_uint8(images[1:])[0], torch.zeros(*inside.shape[1:], 4, dtype=torch.uint8)
    for place in torch.randperm(len(rows), generator=stream("dabs of a study", 0, name))[:DABS].tolist():
        distance = (axis[:, None] - rows[place]).square() + (axis[None] - columns[place]).square()
        dab = (distance <= RADIUS**2) & (inside[1] > 0.99)
        layer[dab] = torch.cat([pixels[dab].float().mean(dim=0).round().byte(), torch.tensor([255]).byte()])
    return layer, {}


def sketch(name: str, images: Tensor, inside: Tensor, factors: Tensor) -> tuple[Tensor, dict]:
    """The outline of the region."""
    solid = (inside[1:, None] > 0.5).float()
    outline = solid - (1 - F.max_pool2d(1 - solid, 3, 1, 1))
    layer = torch.zeros(*inside.shape[1:], 4, dtype=torch.uint8)
    layer[..., 3] = (outline[0, 0] * 255).byte()
    return layer, {}


def warp(name: str, images: Tensor, inside: Tensor, factors: Tensor) -> tuple[Tensor, dict]:
    """The region as it was, and how far it has gone."""
    layer = torch.zeros(*inside.shape[1:], 4, dtype=torch.uint8)
    layer[..., 3] = (inside[0] > 0.5).byte() * 255
    (place,) = (factors[0] != factors[1]).nonzero()[:, 0].tolist()
    return layer, {
        "by": [round(float(factors[1, place] - factors[0, place]) * len(layer), 2), 0]
    }  # shares of the width


if __name__ == "__main__":
    main()
