"""Finished runs of run.sh → the table, the figure and the strips of README.md.

    python experiments/families/table.py outputs/families/runs --networks outputs/train --figures experiments/families

A run is called by family, way and space, ``vae64-hybrid-z``. Leakage is the mean change of all other attributes while
season, or the place of the house, moves by 0.3 of its range, a mean over both; *reached* is the share of images that
get so far; *drift* is how far an edit does something else with an image's own weights than without them.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from networks import FAMILIES, Network, find
from PIL import Image
from torch.nn import functional as F

from zstar.data.reading import read_image
from zstar.images import write_png
from zstar.reports.captions import letters, titled
from zstar.reports.numbers import decimals, show, with_interval
from zstar.runs.folder import by_age

WAYS = {"own": "own encoder or inverse", "optimisation": "optimisation", "hybrid": "both", "weights": "with weights"}
MARKERS = {"own": "s", "optimisation": "o", "hybrid": "D", "weights": "*"}
MEASURES = {"psnr": "PSNR, dB [95 %]", "perceptual": "perceptual", "leakage": "leakage [95 %]",
            "leakage_reached": "reached", "edit_drift": "drift"}  # fmt: skip
SHOWN, SIDE = 8, 64
TOP, LEAST = 60.0, 1e-3  # dB, beyond which nothing is to be seen, and KID, below which it is no more than chance


def read(folder: Path) -> list[dict[str, Any]]:
    """The finished runs by family, way and space; of those of one name, the newest."""
    runs: dict[str, dict[str, Any]] = {}
    for path in by_age(folder, "*/result.json"):
        name = path.parent.name.rpartition("_")[0]  # without its hash
        family, way, space = name.split("-")
        summary = json.loads(path.read_text(encoding="utf-8"))["summary"]
        runs[name] = {"family": family, "way": way, "space": space, "summary": summary, "folder": path.parent}
    order = list(FAMILIES), list(WAYS)
    return sorted(runs.values(), key=lambda run: (order[0].index(run["family"]), order[1].index(run["way"])))


def cell(value: dict[str, float] | None) -> str:
    """A mean with its interval, if there is one."""
    if value is None:
        return "–"
    ends = [value[key] for key in ("mean", "low", "high")]
    return with_interval(*ends)


def line(run: dict[str, Any], network: Network | None) -> str:
    """One row of the table."""
    kid = show(network.kid[0], decimals(*network.kid)) if network and network.kid else "–"
    parameters = f"{network.parameters:,}" if network else "–"
    measured = [cell(run["summary"].get(name)) for name in MEASURES]
    seconds = show(run["summary"]["seconds"]["mean"], 2)
    cells = [run["family"], parameters, kid, WAYS[run["way"]], f"`{run['space']}`", *measured, seconds]
    return f"| {' | '.join(cells)} |"


def figure(runs: list[dict[str, Any]], networks: dict[str, Network | None], path: Path) -> None:
    """PSNR over seconds, a colour for each family and a mark for each way; and the best without weights over KID."""
    _, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4))
    for family in dict.fromkeys(run["family"] for run in runs):
        color, mine = f"C{FAMILIES.index(family)}", [run for run in runs if run["family"] == family]
        for run in mine:
            x, y = (run["summary"][name]["mean"] for name in ("seconds", "psnr"))
            left.plot(x, min(y, TOP), MARKERS[run["way"]], color=color, markersize=9 if run["way"] == "weights" else 6)
        left.plot([], [], "o", color=color, label=family)
        network = networks[family]
        best = max((run["summary"]["psnr"]["mean"] for run in mine if run["way"] != "weights"), default=None)
        if network and network.kid and best is not None:
            at = max(network.kid[0], LEAST), min(best, TOP)
            right.plot(*at, "o", color=color)
            right.annotate(family, at, fontsize=8, xytext=(5, 4), textcoords="offset points")
    for way, marker in MARKERS.items():
        left.plot([], [], marker, color="black", label=WAYS[way])
    left.set(xscale="log", xlabel="seconds per image", ylabel=f"PSNR, dB (what is above {TOP:.0f} at {TOP:.0f})")
    right.set(xscale="log", xlabel="KID of samples", ylabel="PSNR of the best way without weights, dB")
    left.legend(frameon=False, fontsize=7, ncols=2)
    plt.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    plt.savefig(path, dpi=120)


def strips(runs: list[dict[str, Any]], path: Path) -> None:
    """The first photos, and what each family makes of them at its best without weights."""
    best: dict[str, dict[str, Any]] = {}
    for run in runs:
        other = best.setdefault(run["family"], run)
        if run["way"] != "weights" and run["summary"]["psnr"]["mean"] > other["summary"]["psnr"]["mean"]:
            best[run["family"]] = run
    rows, photos = [], next(iter(best.values()))["folder"] / "targets"
    names = sorted(file.name for file in photos.glob("*.png"))[:SHOWN]
    for title, folder in [
        ("photos", photos),
        *((f"{n}, {r['space']}", r["folder"] / "reconstructions") for n, r in best.items()),
    ]:
        rows.append(titled(torch.cat([picture(folder / name) for name in names], dim=2), title, letters(SIDE)))
    write_png(path, torch.cat(rows, dim=1))


def picture(path: Path) -> torch.Tensor:
    """A picture at one size for all; one of 32 pixels with larger pixels."""
    with Image.open(path) as file:
        side = file.width
    return F.interpolate(read_image(path, side)[None], size=(SIDE, SIDE), mode="nearest")[0]


def main() -> None:
    """Print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", type=Path, default=Path("outputs/train"))
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/families"))
    given = parser.parse_args()
    runs = read(given.folder)
    networks = {family: find(given.networks, family) for family in {run["family"] for run in runs}}
    columns = ["family", "parameters", "KID of samples", "way", "space", *MEASURES.values(), "s per image"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for run in runs:
        print(line(run, networks[run["family"]]))
    if runs:
        figure(runs, networks, given.figures / "families.png")
        strips(runs, given.figures / "strips.png")


if __name__ == "__main__":
    main()
