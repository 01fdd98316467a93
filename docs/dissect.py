"""docs/dissect.png: for some classes, the unit of a layer that agrees best with it, in the pictures that it is most
active in.

python docs/dissect.py
"""

from pathlib import Path

import torch

from zstar.dissection.agreement_tables import compare
from zstar.dissection.base import Parts, Subject
from zstar.dissection.survey import kinds_of_classes, survey
from zstar.dissection.tops import find_tops, sheet
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import write_png
from zstar.segmenters.annotator import Annotator

LAYER = "b32.conv0"
CLASSES = ("tree", "sun", "cloud", "roof", "door", "window")


def main() -> None:
    """Compare, choose, draw."""
    segmenter = Annotator()
    subject = Subject(StyleGAN2(checkpoint="cottages64"), segmenter, segmenter, [LAYER], samples=500)
    with torch.no_grad():
        seen = survey(subject, (0.99, 0.0005), 100, 8, Parts(Path("outputs/docs_dissect")))[LAYER]
        true, null = compare(seen, kinds_of_classes(subject)[1], "beyond")
        names = {name: list(segmenter.classes).index(name) for name in CLASSES}
        units = {name: int((true.iou - null.iou)[place].argmax()) for name, place in names.items()}
        level = true.of_label(true.level).float()
        for name, unit in units.items():
            level[unit] = true.level[names[name], unit]
        tops = find_tops(subject, {LAYER: seen.tops}, {LAYER: level})
    rows = []
    for name, unit in units.items():
        numbers = enumerate(seen.tops[unit].tolist())
        cells = [(tops.pictures[tops.samples.index(n)], tops.outlines[LAYER, unit, rank]) for rank, n in numbers]
        rows.append((f"{name}: unit {unit}", cells))
    write_png(Path(__file__).with_suffix(".png"), sheet(rows, ""))


if __name__ == "__main__":
    main()
