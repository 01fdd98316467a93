"""Smeared suns: boxes around them for ``dissect.py``, and what becomes of suns with the units off that it has found.

    python experiments/dissection/suns.py --boxes outputs/dissection/suns.json
    python experiments/dissection/suns.py --run outputs/dissection/suns_…

A sun of the world is a disc. One that only sky is around, as a network sees it, and that is longer than wide all the
same, is smeared: its axes, by second moments, are less equal than those of all but one in a hundred suns of the world.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from zstar.data.cottages import Cottages
from zstar.dissection.artefacts import zeros
from zstar.dissection.base import Purpose, Subject
from zstar.dissection.pictures import outlined, sheet
from zstar.dissection.scenes import picture, see
from zstar.dissection.units import UnitSet
from zstar.dissection.unreal import read_boxes
from zstar.generators.reading import map_shapes
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import write_png
from zstar.postprocess.base import grow
from zstar.runs.folder import write_json
from zstar.runs.results import scan_rows
from zstar.segmenters.annotator import Annotator
from zstar.stats.streams import stream

SHOWN = 8
SIZES = (4, 20)  # units that are switched off at once
LEAST = 12  # pixels of a sun whose shape can be told
RARE = 0.01  # share of the world's suns that are as long


class Suns:
    """Finds suns with only sky around them, by a segmenter, and says how long they are."""

    def __init__(self, reader: Annotator) -> None:
        self.reader = reader
        self.sun, self.sky = (reader.column(name, "classes") for name in ("sun", "sky"))

    def __call__(self, images: Tensor) -> tuple[int, list[tuple[int, float, list[int]]]]:
        """How many pictures have a sun, and of each free one the number of its picture, its shorter axis over the
        longer one, and ``[top, left, height, width]``."""
        there, found = 0, []
        for i, labels in enumerate(see(self.reader, images)):
            sun = labels == self.sun
            if int(sun.sum()) < LEAST:
                continue
            there += 1
            around = (grow(sun[None, None].float(), 2)[0, 0] > 0) & ~sun
            ys, xs = (values.double() for values in sun.nonzero(as_tuple=True))
            top, left, bottom, right = int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1
            edge = top == 0 or left == 0 or bottom == labels.shape[0] or right == labels.shape[1]
            if edge or (labels[around] != self.sky).any():
                continue
            axes = torch.linalg.eigvalsh(torch.cov(torch.stack([ys, xs]))).clamp(min=0).sqrt()
            found.append((i, float(axes[0] / axes[1]), [top, left, bottom - top, right - left]))
        return there, found


def draw(subject: Subject, purpose: Purpose, count: int, units: UnitSet | None = None) -> Tensor:
    """Samples as ``dissect.py`` draws them."""
    return torch.cat([picture(subject, part, units) for part in subject.latents(purpose, count)])


def write_boxes(subject: Subject, suns: Suns, bound: float, given: argparse.Namespace) -> None:
    """Boxes of smeared suns in the samples that units are found on, and a sheet of them."""
    images = draw(subject, "dissected", given.images)
    _, found = suns(images)
    smeared = sorted((one for one in found if one[1] < bound), key=lambda one: one[1])
    write_json(given.boxes, [{"sample": i, "box": box} for i, _, box in sorted(smeared)])
    print(f"{len(smeared)} of {len(found)} free suns in {given.images} samples are smeared; boxes: {given.boxes}")
    rows = torch.tensor([i for i, _, _ in smeared[:SHOWN]])
    masks = read_boxes(given.boxes, given.images, (images.shape[2], images.shape[3]))[rows, None]
    write_png(given.figures / "suns.png", sheet([images[rows], outlined(images[rows], masks)]))


def compare(subject: Subject, suns: Suns, bound: float, given: argparse.Namespace) -> None:
    """Suns of held-out samples with units off, layer by layer: those most active in boxes, and as many random ones."""
    print("| units off | layer | number | pictures with a sun | free suns | of these smeared |\n|" + "---|" * 6)

    def count(way: str, layer: str, number: int, units: UnitSet | None) -> tuple[Tensor, list]:
        images = draw(subject, "held out", given.images, units)
        there, free = suns(images)
        smeared = [one for one in free if one[1] < bound]
        cells = [way, layer, str(number), f"{there} of {len(images)}", str(len(free)), str(len(smeared))]
        print("| " + " | ".join(cells) + " |", flush=True)
        return images, smeared

    before, smeared = count("none", "", 0, None)
    rows = [i for i, _, _ in sorted(smeared, key=lambda one: one[1])][:SHOWN]
    shown = [before[rows]]
    table = scan_rows(given.run / "artefacts" / "units.parquet").collect()
    for layer in table["layer"].unique(maintain_order=True).sort():
        shape = map_shapes(subject.generator, [layer])[layer]
        ways = {
            "active in boxes": torch.tensor(table.filter(layer=layer).sort("more", descending=True)["unit"].to_list())
        }
        ways["random"] = torch.randperm(shape[0], generator=stream("random units beside smeared suns", 0, layer))
        for size in SIZES:
            for way, order in ways.items():
                images, _ = count(way, layer, size, zeros(layer, shape, order[:size]))
                if way != "random" and size == SIZES[0]:
                    shown.append(images[rows])
    write_png(given.figures / "suns_off.png", sheet(shown))


def main() -> None:
    """Find the bound, then do what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=Path, help="a file that boxes are written to")
    parser.add_argument("--run", type=Path, help="a dissection with such boxes")
    parser.add_argument("--images", type=int, default=300, help="samples; analysis.artefacts.images")
    parser.add_argument("--layers", nargs="*", default=["b16.conv1", "b32.conv0", "b32.conv1"])
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/dissection"))
    given = parser.parse_args()
    given.figures.mkdir(parents=True, exist_ok=True)
    judge = Annotator("judge64")
    suns, subject = Suns(judge), Subject(StyleGAN2(checkpoint="cottages64"), Annotator(), judge, given.layers)
    data = Cottages(count=2000)
    real = [axes for batch in data.batches(100) for _, axes, _ in suns(batch.images)[1]]
    bound = float(torch.tensor(real).quantile(RARE))
    print(f"of {len(real)} free suns of the world, one in a hundred has axes of less than {bound:.2f} to 1")
    if given.boxes:
        write_boxes(subject, suns, bound, given)
    if given.run:
        compare(subject, suns, bound, given)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
