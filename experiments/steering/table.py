"""Finished trainings of run.sh → the tables and the figure of README.md, and how far cottages vary by themselves.

python experiments/steering/table.py outputs/steering --figures experiments/steering
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from zstar.data.cottages import FACTORS, sample_factors

SPACES, WALKS = ("z", "w", "w_plus"), ("linear", "nonlinear")
# What of the world does what the edit does, and how the range of its factor is to be read in units of α.
VARIES = {
    "shift_x": ("house_x", 1.0),
    "season": ("season", 1.0),
    "time_of_day": ("time_of_day", 1.0),
    "zoom": ("house_width", None),
}


def saturation(rows: list[dict]) -> tuple[float, float]:
    """The farthest that the mean achieved strength gets to either side, over all strengths asked for."""
    values = [row["achieved"] for row in rows]
    return min(values), max(values)


def natural(edit: str) -> tuple[float, float] | None:
    """The central 95 % of what the world itself does of an edit, about its mean, in units of α."""
    if edit not in VARIES:
        return None
    name, scale = VARIES[edit]
    column = list(FACTORS).index(name)
    values = sample_factors(torch.arange(10_000), "train")[:, column].double().numpy()
    low, mean, high = np.quantile(values, 0.025), values.mean(), np.quantile(values, 0.975)
    if scale is None:  # a zoom by log2 of the ratio of widths
        return float(np.log2(low / mean)), float(np.log2(high / mean))
    return float((low - mean) * scale), float((high - mean) * scale)


def main() -> None:
    """Print the tables, draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/steering"))
    given = parser.parse_args()
    folder = given.folder
    found = {
        (space, walk): json.loads(path.read_text(encoding="utf-8"))
        for space in SPACES
        for walk in WALKS
        if (path := folder / f"{space}_{walk}" / "result.json").is_file()
    }
    edits = list(next(iter(found.values()))["card"]["curves"])
    print("| edit | space | walk | loss | slope | R² | R² of the mean | returns to within | reaches |\n|" + "---|" * 9)
    for edit in edits:
        for (space, walk), result in found.items():
            rows, card = result["card"]["curves"][edit], result["card"]["directions"][edit]
            scores, low_high = card["scores"], saturation(rows)
            cells = [edit, space, walk, *(f"{scores[key]:.3f}" for key in ("loss", "slope", "r2", "r2_mean"))]
            cells += [f"{result['scores'][f'{edit}/returned']:.3f}", "{:+.3f} … {:+.3f}".format(*low_high)]
            print(f"| {' | '.join(cells)} |")
    print("\n| edit | unit | trained on | the world itself, 95 % | linear in w reaches |\n|---|---|---|---|---|")
    best = found.get(("w", "linear"), next(iter(found.values())))
    for edit in edits:
        card, world = best["card"]["directions"][edit], natural(edit)
        reach = saturation(best["card"]["curves"][edit])
        said = "–" if world is None else f"{world[0]:+.3f} … {world[1]:+.3f}"
        trained, reached = (f"{low:+.3f} … {high:+.3f}" for low, high in ((card["low"], card["high"]), reach))
        print(f"| {edit} | {card['unit']} | {trained} | {said} | {reached} |")
    figure(found, edits, given.figures)


def figure(found: dict, edits: list[str], folder: Path) -> None:
    """Achieved over requested strength with 95 % bands, a panel for each edit and space."""
    spaces = [space for space in SPACES if any(key[0] == space for key in found)]
    _, panels = plt.subplots(len(spaces), len(edits), figsize=(2.5 * len(edits), 2.4 * len(spaces)), squeeze=False)
    for line, space in zip(panels, spaces, strict=True):
        for axes, edit in zip(line, edits, strict=True):
            for walk in WALKS:
                if (space, walk) not in found:
                    continue
                card = found[space, walk]["card"]
                rows = card["curves"][edit]
                x, y, low, high = (np.array([row[key] for row in rows]) for key in ("alpha", "achieved", "low", "high"))
                axes.plot(x, y, label=walk)
                axes.fill_between(x, low, high, alpha=0.25)
            axes.plot(
                x, [row["given"] for row in rows], color="black", linewidth=0.7, linestyle=":", label="the edit itself"
            )
            direction = card["directions"][edit]
            axes.axvspan(direction["low"], direction["high"], color="black", alpha=0.05)
            axes.set_title(f"{edit}, {space}", fontsize=9)
            axes.tick_params(labelsize=7)
    panels[0][0].legend(frameon=False, fontsize=7)
    plt.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    plt.savefig(folder / "curves.png", dpi=110)


if __name__ == "__main__":
    main()
