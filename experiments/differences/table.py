"""What z*, θ* and changed maps give and cost: prints a table of README.md, draws curves and strips of a world.

    python experiments/differences/table.py outputs/differences/faces --world faces --figures experiments/differences

A run is called by its kind and strength, ``locality-0.1``. Reconstruction is PSNR; damage is how well 64 random
samples of the changed generator agree with those of the original, and how far edits have gone from what they did with
that (``edit_drift``); leakage of edits is compared at matched effect, 0.3 of an attribute's range.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from omegaconf import OmegaConf

from zstar.config.build import to_plain
from zstar.data.reading import read_image
from zstar.editability.base import Traversal
from zstar.images import grid, write_png
from zstar.inversion import Inversion
from zstar.projection.pipeline import Pipeline
from zstar.reports.numbers import show, with_interval
from zstar.runs.folder import safe_name

COLUMNS = {
    "psnr": "PSNR, dB [95 %]", "perceptual": "perceptual", "drift": "samples, dB",
    "drift_perceptual": "samples, perceptual", "edit_drift": "edits' drift", "leakage": "leakage [95 %]",
    "leakage_reached": "reached",
}  # fmt: skip
PANELS = {
    "drift": "PSNR of random samples to the original's, dB", "edit_drift": "edits' drift from what they did",
    "leakage": "leakage of edits at matched effect",
}  # fmt: skip
ORDER = (
    "z", "w", "w_plus", "none", "locality", "feature_drift", "weight_norm", "rank", "features", "feature_space",
    "deep_image_prior",
)  # fmt: skip
SHOWN = ("z", "w", "none", "locality", "feature_drift", "weight_norm", "features")


def main() -> None:
    """Print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--world", default="cottages", help="what the figures are called by")
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/differences"))
    given = parser.parse_args()
    rows = [read(path) for path in given.folder.glob("*/result.json")]
    rows.sort(key=lambda row: (ORDER.index(row["kind"]), row["strength"]))
    columns = {name: title for name, title in COLUMNS.items() if any(name in row["summary"] for row in rows)}
    print(f"| run | {' | '.join(columns.values())} | KiB | s |\n|---|{'---|' * (len(columns) + 2)}")
    for row in rows:
        cells = [number(row["summary"].get(name)) for name in columns]
        print(f"| {row['name']} | {' | '.join(cells)} | {row['bytes'] / 1024:,.0f} | {show(row['seconds'], 1)} |")
    given.figures.mkdir(parents=True, exist_ok=True)
    curves(rows, given.figures / f"{given.world}.png")
    strips(rows, given.figures / f"{given.world}_strips.png")


def read(path: Path) -> dict[str, Any]:
    """What a run says of itself."""
    result = json.loads(path.read_text(encoding="utf-8"))
    name = path.parent.name.rpartition("_")[0]  # without its hash
    kind, _, strength = name.partition("-")
    size = strength.removeprefix("b")  # of a layer
    return {
        "name": name, "kind": kind, "strength": float(size or 0), "folder": path.parent,
        "summary": result["summary"], "bytes": result["bytes_per_image"],
        "seconds": result["summary"]["seconds"]["mean"],
    }  # fmt: skip


def number(value: dict[str, float] | None) -> str:
    """A mean with its interval, if there is one."""
    if value is None:
        return "–"
    ends = [value[key] for key in ("mean", "low", "high")]
    return with_interval(*ends)


def curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Reconstruction against damage to samples and to edits, a curve for each kind through its strengths."""
    shown = [metric for metric in PANELS if any(metric in row["summary"] for row in rows)] or ["drift"]
    _, panels = plt.subplots(1, len(shown), figsize=(5.5 * len(shown), 4.2), squeeze=False)
    for place, kind in enumerate(dict.fromkeys(row["kind"] for row in rows)):
        mine = [row for row in rows if row["kind"] == kind]
        for panel, metric in zip(panels[0], shown, strict=True):
            found = [row["summary"] for row in mine if metric in row["summary"]]
            points = [(summary["psnr"]["mean"], summary[metric]["mean"]) for summary in found]
            if points:
                panel.plot(
                    *zip(*sorted(points), strict=True), marker="o", markersize=4, label=kind, color=f"C{place % 10}"
                )
    for panel, metric in zip(panels[0], shown, strict=True):
        panel.set(xlabel="PSNR of the photo, dB", ylabel=PANELS[metric])
    panels[0][-1].legend(frameon=False, fontsize=7, ncols=2)
    plt.tight_layout()
    plt.savefig(path, dpi=120)


def strips(rows: list[dict[str, Any]], path: Path) -> None:
    """Two photos: each with what a kind makes of it at its best, and the first edit of that from end to end."""
    best: dict[str, tuple[float, Path]] = {}
    for row in rows:
        if row["kind"] in SHOWN and row["summary"]["psnr"]["mean"] > best.get(row["kind"], (0,))[0]:
            best[row["kind"]] = (row["summary"]["psnr"]["mean"], row["folder"])
    kinds = [kind for kind in SHOWN if kind in best]
    plain = to_plain(OmegaConf.load(best[kinds[0]][1] / "config.yaml"))  # directions are the same in all runs
    pipeline = Pipeline(plain, "there is nothing to draw")
    generator, direction, cells = pipeline.generator, next(iter(pipeline.directions.values())), []
    for image in range(2):
        for kind in kinds:
            folder = best[kind][1]
            found = Inversion.load(folder / "latents.safetensors").select([image])
            target = read_image(folder / "targets" / f"{safe_name(found.ids[0])}.png", generator.resolution)
            alphas = torch.linspace(direction.label.low, direction.label.high, 5)
            traversal = Traversal("", direction, generator, found.v, found.space, alphas, found.noise_mode)
            cells += [target, traversal.before[0], *traversal.images[:, 0]]
    small = torch.stack(cells)
    write_png(path, grid(small.repeat_interleave(2, 2).repeat_interleave(2, 3), 7, gap=4))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
