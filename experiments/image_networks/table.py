"""Finished runs of run.sh → the tables of README.md, and the sheet of the styles.

python experiments/image_networks/table.py
"""

import json
from pathlib import Path

import torch

from zstar.data.reading import read_image
from zstar.images import write_png
from zstar.reports.numbers import with_interval
from zstar.runs.folder import by_age

OUT = Path("outputs/image_networks")
FIGURES = Path("outputs/figures/image_networks")
METRICS = ("psnr", "ssim", "perceptual")
RUNS = {
    "label_maps": "label map → cottage, network",
    "style_network": "style, network",
    "style_pixels": "style, optimisation of pixels",
    "style_latent": "style, optimisation in w+",
    "loss_pixel": "super-resolution, pixel",
    "loss_perceptual": "super-resolution, pixel + perceptual",
    "loss_adversarial": "super-resolution, pixel + adversary",
    "loss_contrastive": "super-resolution, pixel + patch_nce",
}
SHOWN = 8  # pictures of a sheet: the first ones, good or bad


def main() -> None:
    """Print what there is."""
    print("| | PSNR, dB | SSIM | perceptual distance (judge64) | seconds per image | N |\n|---|---|---|---|---|---|")
    for name, title in RUNS.items():
        paths = by_age(OUT / "runs", f"{name}_*/result.json")
        if paths:
            summary = json.loads(paths[-1].read_text(encoding="utf-8"))["summary"]
            triples = [[summary[metric][key] for key in ("mean", "low", "high")] for metric in METRICS]
            print(row(title, triples, summary["seconds"]["mean"], summary["psnr"]["n"]))
            draw(paths[-1].parent, name)
    path = OUT / "season.json"
    if path.is_file():
        for name, values in json.loads(path.read_text(encoding="utf-8")).items():
            print(row(f"season + 0.5, {name}", [values[metric] for metric in METRICS], values["seconds"], ""))
        FIGURES.mkdir(parents=True, exist_ok=True)
        (FIGURES / "season.png").write_bytes(path.with_suffix(".png").read_bytes())


def row(title: str, triples: list[list[float]], seconds: float, count: object) -> str:
    """A line of the table."""
    cells = [with_interval(*triple) for triple in triples]
    return f"| {title} | {' | '.join(cells)} | {seconds:.3g} | {count} |"


def draw(folder: Path, name: str) -> None:
    """What the first images were, what was seen of them where that is another picture, and what came of it."""
    files = sorted((folder / "targets").glob("*.png"))[:SHOWN]
    kinds = [kind for kind in ("targets", "observed", "reconstructions") if (folder / kind).is_dir()]
    size = read_image(files[0], 64).shape[-1]
    rows = [torch.cat([read_image(folder / kind / file.name, size) for file in files], dim=2) for kind in kinds]
    write_png(FIGURES / f"{name}.png", torch.cat(rows, dim=1))


if __name__ == "__main__":
    main()
