"""Finished runs of the two recipes → the table and the pictures of README.md.

python experiments/restoration/table.py outputs/restoration --figures experiments/restoration
"""

import argparse
import json
from pathlib import Path

import torch
import yaml
from torch import Tensor

from zstar.config.build import build
from zstar.data.reading import read_image
from zstar.images import grid, write_png
from zstar.metrics.psnr import PSNR
from zstar.operators.mask import Mask
from zstar.reports.numbers import with_interval
from zstar.runs.folder import safe_name
from zstar.stats.comparison import mean_interval

KINDS = ("targets", "observed", "reconstructions")
SHOWN = 8  # pictures of each run in the figure: the first ones, good or bad
BASELINE = {"mask": "mean fill", "downscale": "bicubic up-sampling"}


def read(folder: Path) -> dict[str, Tensor]:
    """The pictures of a run by kind, ``[n, 3, 64, 64]`` in [−1, 1]."""
    names = json.loads((folder / "latents.json").read_text(encoding="utf-8"))["ids"]
    return {kind: torch.stack([read_image(folder / kind / f"{safe_name(n)}.png", 64) for n in names]) for kind in KINDS}


def psnr(images: Tensor, targets: Tensor) -> str:
    """The mean over images in dB, with its 95 % interval."""
    values = PSNR()(images, targets)
    return with_interval(values.mean().item(), *mean_interval(values.double().numpy()), 2)


def rows(folder: Path, pictures: dict[str, Tensor]) -> list[str]:
    """The baseline and the run, each of the whole picture and of the hidden part."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    (operator,) = config["operator"]
    made = build(config["operator"][operator])
    lines = []
    for kind, name in (("observed", BASELINE[operator]), ("reconstructions", "projection")):
        cells = [config["name"], name, psnr(pictures[kind], pictures["targets"])]
        if isinstance(made, Mask):
            hidden = made.visible(pictures["targets"], {})[0, 0] == 0
            part = (pictures[name][..., hidden][:, :, None] for name in (kind, "targets"))
            cells.append(psnr(*part))
        else:
            cells.append("all of it")
        spent = result["summary"]["seconds"]["mean"]
        cells += (
            ["–", "–"] if kind == "observed" else [f"{result['summary']['evaluations']['mean']:.0f}", f"{spent:.1f}"]
        )
        lines.append("| " + " | ".join([*cells, str(len(pictures["targets"]))]) + " |")
    return lines


def main() -> None:
    """Print the table and draw the strip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/restoration"))
    given, strips = parser.parse_args(), []
    print("| recipe | method | PSNR, dB [95 %] | of the hidden part | evaluations | seconds per image | N |")
    print("|---|---|---|---|---|---|---|")
    for path in sorted(given.folder.glob("*/result.json")):
        pictures = read(path.parent)
        print("\n".join(rows(path.parent, pictures)))
        strips += [pictures[kind][:SHOWN] for kind in KINDS]
    large = torch.cat(strips).repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)
    write_png(given.figures / "strip.png", grid(large, min(SHOWN, len(strips[0])), gap=4))


if __name__ == "__main__":
    main()
