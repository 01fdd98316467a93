"""docs/transfer.png: photos of four times the generator's size, edited in the latent space and at their own resolution.

python docs/transfer.py
"""

from pathlib import Path

import torch
from hydra import compose, initialize_config_module

from zstar.editing.job import make_edit_job
from zstar.images import write_png
from zstar.postprocess.base import Change
from zstar.reports.captions import labelled

EDITS = {"season": (0, -0.5), "house_x": (0, 0.5), "time_of_day": (1, -0.5)}  # image, and how far
SIZE = 256  # pixels of a photo's side
WORDS = [
    "data.count=2", f"data.photo_resolution={SIZE}", f"only=[{','.join(EDITS)}]", "editability=[]",
    "postprocess=[transfer]",
]  # fmt: skip


def main() -> None:
    """Project two pictures, as edit.py does, and put what it writes of them beside each other."""
    with initialize_config_module("zstar.conf", version_base="1.3"):
        job = make_edit_job(compose("edit", WORDS))
    cells, labels = [], []
    for name, (row, alpha) in EDITS.items():

        def frame(share: float, name: str = name, row: int = row, alpha: float = alpha) -> torch.Tensor:
            return job.render([row], ((name, share * alpha),))

        photo = job.originals.read(job.inversion.ids[row]).images
        made = job.originals.chain(Change(photo, frame(0.0), frame(1.0), None, frame))
        pixels = [frame(share).repeat_interleave(4, dim=-1).repeat_interleave(4, dim=-2) for share in (0.0, 1.0)]
        cells += [photo, *pixels, made]
        labels += [f"photo, {SIZE} × {SIZE}", "G(z₀)", f"G(z₁): {name} {alpha:+g}", "the photo, edited"]
    sheet = labelled(torch.cat(cells), labels, 4, "edit transfer")
    write_png(Path(__file__).with_name("transfer.png"), sheet)


if __name__ == "__main__":
    main()
