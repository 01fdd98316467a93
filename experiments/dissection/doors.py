"""Where can a door go? Prints the table of README.md, draws doors.png.

    python experiments/dissection/doors.py --units units64 --figures experiments/dissection

A box of the usual size of the class lies altogether in one class of the picture, as the judge sees it; in it the units
are switched on. The samples are others than those that the units were learned from. The truth is that of the world:
what stands beside a door in drawn cottages, whose masks are exact.
"""

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from zstar.data.cottages import CLASSES, Cottages
from zstar.directions.units import load_units
from zstar.dissection.base import Subject
from zstar.dissection.boxes import boxes_within, usual_size
from zstar.dissection.pictures import outlined, sheet
from zstar.dissection.scenes import Scenes, draw_scenes, picture
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import write_png
from zstar.reports.numbers import mean_with_interval
from zstar.segmenters.annotator import Annotator

REACH = 8  # pixels around a box that a change in it can reach: convolutions behind the layer, and upsampling
DRAWN = 200  # drawn scenes that say what stands beside what
SHOWN = 8
GROUND = "wall, at the ground"
ON = (GROUND, "wall", "roof", "door", "window", "tree", "grass", "hill", "cloud", "sky")


def boxes_on(scenes: Scenes, box: tuple[int, int], column: int, count: int) -> tuple[Scenes, Tensor]:
    """So many scenes with a box that lies in a class."""
    masks, fits = boxes_within(scenes, box, [column], "boxes of a study", 0)
    return scenes[fits][:count], masks[:count]


def near_ground(scenes: Scenes, reach: int) -> Scenes:
    """The scenes with no other walls than those that have grass at most ``reach`` pixels below."""
    wall, grass = (scenes.labels == CLASSES.index(name) for name in ("wall", "grass"))
    near = torch.zeros_like(wall)
    for rows in range(1, reach + 1):
        near[:, :-rows] |= grass[:, rows:]
    return Scenes(scenes.latents, scenes.labels.masked_fill(wall & ~near, -1))


def psnr_outside(before: Tensor, after: Tensor, mask: Tensor) -> Tensor:
    """PSNR of the pixels that a change cannot reach, in dB, of each image; infinite where none has changed."""
    outside = 1 - F.max_pool2d(mask, 2 * REACH + 1, 1, REACH)
    error = ((after - before).clamp(-2, 2).square() * outside).sum(dim=(1, 2, 3)) / (3 * outside.sum(dim=(1, 2, 3)))
    return 10 * torch.log10(4 / error)


def beside(name: str) -> dict[str, float]:
    """In drawn scenes: share of each class among the pixels next to those of a class, left and right."""
    masks = Cottages(DRAWN, seed=1).read(range(DRAWN)).extras["masks"]
    labels = F.one_hot(masks.argmax(dim=1), len(CLASSES)).movedim(-1, 1).float()  # masks are soft at their edges
    place = labels[:, CLASSES.index(name)]
    around = (F.max_pool2d(place[:, None], (1, 3), 1, (0, 1))[:, 0] - place)[:, None] * labels
    share = around.sum(dim=(0, 2, 3)) / around.sum().clamp_min(1)
    return dict(zip(CLASSES, share.tolist(), strict=True))


def main() -> None:
    """Insert, look, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", default="units64")
    parser.add_argument("--name", default="door")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/dissection"))
    given = parser.parse_args()
    subject = Subject(StyleGAN2(checkpoint="cottages64"), Annotator(), Annotator("judge64"), [], given.samples)
    units = load_units(given.units, subject.generator)[given.name].units
    box = usual_size(draw_scenes(subject, "dissected", subject.segmenter), CLASSES.index(given.name))
    scenes, column, truth = (
        draw_scenes(subject, "held out", subject.judge),
        CLASSES.index(given.name),
        beside(given.name),
    )
    print(f"A box of {box[0]}×{box[1]} pixels for the class {given.name}, units of {units.layer}.\n")
    print("| on | seen in the box | half or more | change, of 255 | PSNR outside, dB | beside one in the world |")
    print("|---|---|---|---|---|---|")
    for name in ON:
        where = near_ground(scenes, box[0] + 2) if name == GROUND else scenes
        place = "wall" if name == GROUND else name
        some, masks = boxes_on(where, box, CLASSES.index(place), given.count)
        if not len(some) or name == given.name:
            continue
        with torch.no_grad():
            before, after = picture(subject, some.latents), picture(subject, some.latents, units, 1.0, masks)
            inside = masks[:, 0] > 0
            seen = ((subject.judge(after) == column) & inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2))
        moved = (after.clamp(-1, 1) - before.clamp(-1, 1)).abs().mean(dim=1)
        change = (moved * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)) * 127.5
        cells = [name, mean_with_interval(seen, 2)]
        cells += [f"{int((seen >= 0.5).sum())} of {len(seen)}"]
        cells += [mean_with_interval(change, 0)]
        lowest = float(psnr_outside(before, after, masks).min())
        cells += ["∞" if math.isinf(lowest) else f"{lowest:.0f}", f"{100 * truth[place]:.0f} %"]
        print("| " + " | ".join(cells) + " |", flush=True)
        given.figures.mkdir(parents=True, exist_ok=True)
        write_png(given.figures / f"{given.name}_{name.replace(', ', '_').replace(' ', '_')}.png",
                  sheet([outlined(before[:SHOWN], masks[:SHOWN]), after[:SHOWN]]))  # fmt: skip


if __name__ == "__main__":
    main()
