"""Finished runs of run.sh → the tables and the figure of README.md.

python experiments/encoders/table.py outputs/encoders cottages-w_plus cats faces --figures experiments/encoders
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from zstar.reports.numbers import with_interval

METHODS = ("optimisation", "encoder", "hybrid")
COLUMNS = ("method", "steps", "N", "PSNR, dB [95 %]", "perceptual [95 %]", "s/image", "evaluations")


def read(folder: Path, world: str) -> list[dict]:
    """The finished runs of a world, by method and budget."""
    runs = []
    for path in folder.glob(f"{world}-*/result.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        method, steps = path.parent.name.removeprefix(f"{world}-").rsplit("_", 1)[0].split("-")
        runs.append({"method": method, "steps": int(steps), "result": result, "summary": result["summary"]})
    return sorted(runs, key=lambda run: (METHODS.index(run["method"]), run["steps"]))


def line(run: dict) -> str:
    """One row of a table."""
    summary = run["summary"]
    cells = [run["method"], str(run["steps"]), str(run["result"]["images"])]
    for name, places in (("psnr", 2), ("perceptual", 4)):
        cells.append(with_interval(*(summary[name][key] for key in ("mean", "low", "high")), places))
    cells += ["{mean:.3g}".format(**summary["seconds"]), "{mean:.0f}".format(**summary["evaluations"])]
    return "| " + " | ".join(cells) + " |"


def figure(worlds: dict[str, list[dict]], folder: Path) -> None:
    """PSNR over seconds per image, with intervals, a panel for each world."""
    _, panels = plt.subplots(1, len(worlds), figsize=(4.2 * len(worlds), 3.6), squeeze=False)
    for axes, (world, runs) in zip(panels[0], worlds.items(), strict=True):
        for method in METHODS:
            mine = [run["summary"] for run in runs if run["method"] == method]
            if not mine:
                continue
            seconds = [summary["seconds"]["mean"] for summary in mine]
            values = [summary["psnr"] for summary in mine]
            ends = [[v["mean"] if v[end] is None else v[end] for v in values] for end in ("low", "high")]
            spans = np.abs(np.array(ends) - [v["mean"] for v in values])
            axes.errorbar(seconds, [v["mean"] for v in values], spans, marker="o", capsize=2, label=method)
        axes.set(xscale="log", xlabel="seconds per image", title=world)
    panels[0][0].set_ylabel("PSNR (dB)")
    panels[0][0].legend(frameon=False)
    plt.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    plt.savefig(folder / "curves.png", dpi=130)


def main() -> None:
    """Print a table for each world and draw them side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("worlds", nargs="+")
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/encoders"))
    given = parser.parse_args()
    worlds = {name: read(given.folder, name) for name in given.worlds}
    for name, runs in worlds.items():
        hashes = {run["result"]["protocol_hash"] for run in runs}
        print(f"\n**{name}**, protocol {', '.join(sorted(hashes))}\n")
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for run in runs:
            print(line(run))
    if found := {name: runs for name, runs in worlds.items() if runs}:
        figure(found, given.figures)


if __name__ == "__main__":
    main()
