"""The same edits on projections of the same images: prints the table of README.md, draws tradeoff.png and strips.png.

    python experiments/tradeoff/table.py outputs/tradeoff --figures experiments/tradeoff

Each image is moved along a direction until the annotator reads the factor changed by 0.3 of its range ("matched
effect"); what the other factors did meanwhile is the leakage, and KID compares these pictures with 500 samples of G.
"""

import argparse
import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from zstar.annotations.annotator import Annotator
from zstar.directions.library import load_directions
from zstar.editability.base import Traversal
from zstar.editability.reading import match
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import grid, write_png
from zstar.inversion import Inversion
from zstar.losses.networks import AnnotatorFeatures
from zstar.metrics.distribution import kid, pooled
from zstar.reports.numbers import show, with_interval
from zstar.stats.comparison import mean_interval
from zstar.stats.streams import stream

EDITS = {"season": "season", "time_of_day": "time_of_day", "is_chapel": "chapel"}  # factor → direction
SPACES = ("z", "w", "w_plus")


def interval(values: torch.Tensor) -> tuple[float, float, float]:
    """Mean over images with its 95 % interval."""
    kept = values[values.isfinite()].double().numpy().astype(np.float64)
    return (float(kept.mean()), *mean_interval(kept)) if len(kept) else (math.nan,) * 3


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/tradeoff"))
    given = parser.parse_args()
    folder, rows = given.folder, []
    generator, scorer, network = (
        StyleGAN2(checkpoint="cottages64"),
        Annotator(count=2),
        AnnotatorFeatures("annotator64"),
    )
    directions = load_directions("directions64", generator)
    rng = stream("samples to compare with", 0)
    samples = generator.sample(500, rng, space="w").split(50)
    real = torch.cat([pooled(network(generator.synthesize(part, "w").clamp(-1, 1))) for part in samples])
    others = [k for k, name in enumerate(scorer.names) if "/" not in name]
    print(
        "| space | steps | PSNR, dB [95 %] | reached | leakage [95 %] | KID of edited | KID of unedited |\n|"
        + "---|" * 7
    )
    for path in sorted(folder.glob("*/result.json"), key=lambda p: json.loads(p.read_text(encoding="utf-8"))["steps"]):
        result = json.loads(path.read_text(encoding="utf-8"))
        found, psnr = Inversion.load(path.parent / "latents.safetensors"), result["summary"]["psnr"]
        leaks, reached, edited = [], [], []
        for factor, name in EDITS.items():
            steps = torch.linspace(-1, 1, 3)
            traversal = Traversal(name, directions[name], generator, found.v, found.space, steps, found.noise_mode)
            at = match(traversal, scorer, factor, 0.3)
            rest = [k for k in others if k != at.column]
            change = (at.after - at.before)[:, rest].abs().where(at.reached[:, None], torch.nan)
            leaks.append(change.nanmean(dim=1))
            reached.append(at.reached.float())
            edited.append(pooled(network(at.images[at.reached])))
        before = kid(real, pooled(network(traversal.before)), size=32).value
        after = kid(real, torch.cat(edited), size=32).value
        leak, share = interval(torch.stack(leaks).nanmean(dim=0)), torch.cat(reached).mean()
        rows.append({"space": result["space"], "steps": result["steps"], "psnr": psnr, "leak": leak, "kid": after})
        cells = [
            result["space"],
            str(result["steps"]),
            with_interval(*(psnr[key] for key in ("mean", "low", "high")), 2),
        ]
        cells += [f"{100 * share:.0f} %", with_interval(*leak, 4), show(after, 3), show(before, 3)]
        print(f"| {' | '.join(cells)} |", flush=True)
    given.figures.mkdir(parents=True, exist_ok=True)
    figure(rows, given.figures)
    pictures(folder, generator, directions, given.figures)


def figure(rows: list[dict], figures: Path) -> None:
    """Leakage and KID over PSNR, a line per space through its budgets."""
    _, panels = plt.subplots(1, 2, figsize=(9, 3.6))
    for space in SPACES:
        mine = [row for row in rows if row["space"] == space]
        x = [row["psnr"]["mean"] for row in mine]
        spans = np.nan_to_num([[abs(row["leak"][end] - row["leak"][0]) for row in mine] for end in (1, 2)])
        panels[0].errorbar(x, [row["leak"][0] for row in mine], spans, marker="o", capsize=2, label=space)
        panels[1].plot(x, [row["kid"] for row in mine], marker="o", label=space)
        for row, at in zip(mine, x, strict=True):
            panels[1].annotate(
                str(row["steps"]), (at, row["kid"]), fontsize=7, xytext=(3, 3), textcoords="offset points"
            )
    panels[0].set(xlabel="PSNR (dB)", ylabel="leakage at matched effect")
    panels[1].set(xlabel="PSNR (dB)", ylabel="KID of the edited images")
    panels[0].legend(frameon=False)
    plt.tight_layout()
    plt.savefig(figures / "tradeoff.png", dpi=120)


def pictures(folder: Path, generator: StyleGAN2, directions: dict, figures: Path) -> None:
    """One image, a row per space at the largest budget, traversal through its day."""
    cells, direction = [], directions["time_of_day"]
    for space in SPACES:
        path = max(
            folder.glob(f"{space}-*/result.json"), key=lambda p: json.loads(p.read_text(encoding="utf-8"))["steps"]
        )
        found = Inversion.load(path.parent / "latents.safetensors")
        for image in range(min(2, len(found.ids))):
            alphas = torch.linspace(direction.label.low, direction.label.high, 7)
            traversal = Traversal("", direction, generator, found.select([image]).v, space, alphas, found.noise_mode)
            cells.append(traversal.images[:, 0])
    small = torch.cat(cells)
    write_png(figures / "strips.png", grid(small.repeat_interleave(2, 2).repeat_interleave(2, 3), 7, gap=4))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
