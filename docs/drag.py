"""docs/drag.png: handles on three held-out pictures, before and after they were dragged.

python docs/drag.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_module
from PIL import Image
from torch.nn.functional import pad

from zstar.images import to_float, write_png
from zstar.projection.run import run
from zstar.runs.folder import safe_name

HANDLES = {  # image → where handles are and where they are to be, in pixels of 64 × 64
    "test-000000": [((17.5, 12), (33, 9))],  # the sun, to the right
    "test-000006": [((33.5, 48), (26.5, 48)), ((31, 23), (24, 23))],  # door and chimney, and so the house, to the left
    "test-000011": [((36, 23.5), (36, 17.5)), ((30.5, 48), (30.5, 48))],  # the roof up, and the door stays
}
GAP = 12  # pixels between two strips
COUNT = 12  # the first held-out pictures; those without handles have no strokes, and are left out by name


def main() -> None:
    """Project, write the handles, drag them, and lay the strips of the run side by side."""
    words = ["space=w_plus", "logger=none", f"data.count={COUNT}"]
    with initialize_config_module("zstar.conf", version_base="1.3"):
        before = Path(run(compose("invert", [*words, "projector=[encoder_or_mean]", "name=drag-before"]))["folder"])
        strokes = before.parent / "drag-strokes"
        for name, ends in HANDLES.items():
            layers = [{"kind": "point", "size": [64, 64], "from": start, "to": end} for start, end in ends]
            (strokes / name).mkdir(parents=True, exist_ok=True)
            content = {"kind": "layers", "version": 1, "layers": layers}
            (strokes / name / "strokes.json").write_text(json.dumps(content), encoding="utf-8")
        more = ["experiment=drag", f"inversion={before}", f"data.strokes={strokes}", "name=drag"]
        found = run(compose("invert", [*words, *more]))
    files = [Path(found["folder"]) / "dragged" / f"{safe_name(name)}.png" for name in HANDLES]
    strips = [to_float(np.array(Image.open(file).convert("RGB"))) for file in files]
    write_png(
        Path(__file__).with_name("drag.png"), torch.cat([pad(strip, (0, GAP), value=1.0) for strip in strips], dim=2)
    )


if __name__ == "__main__":
    main()
