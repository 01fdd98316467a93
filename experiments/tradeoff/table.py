"""The same edits on projections of the same images: prints the table of README.md, draws tradeoff.png and strips.png.

    python experiments/tradeoff/table.py outputs/tradeoff

Each image is moved along a direction until the annotator reads the factor changed by 0.3 of its range ("matched
effect"); what the other factors did meanwhile is the leakage, and KID compares these pictures with 500 samples of G.
"""

import json
import sys
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
from zstar.stats.bootstrap import bootstrap_interval
from zstar.stats.streams import stream

HERE = Path(__file__).parent
EDITS = {"season": "season", "time_of_day": "time_of_day", "is_chapel": "chapel"}  # factor → direction
SPACES = ("z", "w", "w_plus")


def interval(values: torch.Tensor) -> tuple[float, float, float]:
    """Mean over images with its 95 % interval."""
    kept = values[values.isfinite()].double().numpy().astype(np.float64)
    return (float(kept.mean()), *bootstrap_interval(kept))


def main() -> None:
    """Measure, print, draw."""
    folder, rows = Path(sys.argv[1]), []
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
        cells = [result["space"], str(result["steps"]), "{mean:.2f} [{low:.2f}, {high:.2f}]".format(**psnr)]
        cells += [f"{100 * share:.0f} %", "{:.4f} [{:.4f}, {:.4f}]".format(*leak), f"{after:.3f}", f"{before:.3f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    figure(rows)
    pictures(folder, generator, directions)


def figure(rows: list[dict]) -> None:
    """Leakage and KID over PSNR, a line per space through its budgets."""
    _, panels = plt.subplots(1, 2, figsize=(9, 3.6))
    for space in SPACES:
        mine = [row for row in rows if row["space"] == space]
        x = [row["psnr"]["mean"] for row in mine]
        spans = [[row["leak"][0] - row["leak"][1] for row in mine], [row["leak"][2] - row["leak"][0] for row in mine]]
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
    plt.savefig(HERE / "tradeoff.png", dpi=120)


def pictures(folder: Path, generator: StyleGAN2, directions: dict) -> None:
    """One image, a row per space at the largest budget, traversal through its day."""
    cells, direction = [], directions["time_of_day"]
    for space in SPACES:
        path = max(
            folder.glob(f"{space}-*/result.json"), key=lambda p: json.loads(p.read_text(encoding="utf-8"))["steps"]
        )
        found = Inversion.load(path.parent / "latents.safetensors")
        for image in (0, 1):
            alphas = torch.linspace(direction.label.low, direction.label.high, 7)
            traversal = Traversal("", direction, generator, found.select([image]).v, space, alphas, found.noise_mode)
            cells.append(traversal.images[:, 0])
    small = torch.cat(cells)
    write_png(HERE / "strips.png", grid(small.repeat_interleave(2, 2).repeat_interleave(2, 3), 7, gap=4))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
