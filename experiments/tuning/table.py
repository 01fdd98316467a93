"""Default against searched step size on test images: prints the table of README.md.

python experiments/tuning/table.py outputs/tuning
"""

import sys

import numpy as np

from zstar.benchmark.discover import Run, find_runs
from zstar.runs.results import FAILED
from zstar.stats.comparison import holm, mean_interval, sign_flip

METRICS = ("psnr", "perceptual")


def values(run: Run, metric: str) -> dict[str, float]:
    """Image → value."""
    rows = run.values.filter((run.values["metric"] == metric) & (run.values["metric"] != FAILED))
    return dict(zip(rows["image"], rows["value"], strict=True))


def main() -> None:
    """One row per method."""
    runs = find_runs([sys.argv[1]]).runs
    print(
        "| method | lr, default → found | "
        + " | ".join(f"{m}, default → found | difference [95 %] | p" for m in METRICS)
        + " |"
    )
    print("|" + "---|" * (2 + 3 * len(METRICS)))
    defaults = {"adam_z": 0.05, "adam_w": 0.1, "adam_w_plus": 0.01, "image2stylegan": 0.01}
    found, tests = [], []
    for method, rate in defaults.items():
        if method not in {run.result["method"] for run in runs}:
            continue
        mine = {run.config["optimizer"]["lr"]: run for run in runs if run.result["method"] == method}
        before, after = mine[rate], next(run for lr, run in mine.items() if lr != rate)
        cells = [f"`{method}`", f"{rate:g} → {after.config['optimizer']['lr']:.3g}"]
        for metric in METRICS:
            old, new = values(before, metric), values(after, metric)
            change = np.array([new[image] - old[image] for image in old])
            low, high = mean_interval(change)
            places = 2 if metric == "psnr" else 4
            tests.append(sign_flip(change))
            cells += [f"{np.mean(list(old.values())):.{places}f} → {np.mean(list(new.values())):.{places}f}"]
            ends = "" if np.isnan(low) else f" [{low:+.{places}f}, {high:+.{places}f}]"
            cells += [f"{change.mean():+.{places}f}{ends}", ""]
        found.append(cells)
    corrected = iter(holm(tests))
    for cells in found:
        print("| " + " | ".join(cell if cell else f"{next(corrected):.4f}" for cell in cells) + " |")


main()
