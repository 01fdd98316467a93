"""Finished runs of run.py → the tables and the sheets of README.md.

python experiments/restoration/table.py --count 32 --worlds cottages
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import yaml
from plan import METHODS, TASKS, WORLDS
from torch import Tensor

from zstar.config.build import build
from zstar.data.reading import read_image
from zstar.images import grid, to_uint8
from zstar.metrics.base import AbstractMetric
from zstar.metrics.psnr import PSNR
from zstar.operators.mask import Mask
from zstar.reports.numbers import mean_with_interval
from zstar.runs.folder import by_age, safe_name

RUNS = Path("outputs/restoration")
SHOWN = 8  # pictures of a sheet: the first ones, good or bad
HEAD = ("task", "method", "PSNR, dB [95 %]", "of the hidden part", "perceptual distance [95 %]", "evaluations",
        "seconds per image", "N")  # fmt: skip


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Which rows, of how many images, and where the sheets go."""
    parser.add_argument("--count", type=int, default=32, help="images of each world, the first ones")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/restoration"))


class Run:
    """A finished run: its configuration, its result and its pictures, ``[n, 3, h, w]`` in [−1, 1] by kind."""

    def __init__(self, folder: Path) -> None:
        self.result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        self.config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        self.names = json.loads((folder / "latents.json").read_text(encoding="utf-8"))["ids"]
        kinds = ("targets", "observed", "reconstructions")
        self.pictures = {kind: torch.stack([_read(folder / kind, name) for name in self.names]) for kind in kinds}

    def spent(self) -> list[str]:
        """Evaluations of the equation, and seconds."""
        summary = self.result["summary"]
        return [f"{summary['evaluations']['mean']:.0f}", f"{summary['seconds']['mean']:.1f}"]


def _read(folder: Path, name: str) -> Tensor:
    path = folder / f"{safe_name(name)}.png"
    return read_image(path, 64)


def find(world: str, task: str, method: str, count: int) -> Run | None:
    """The newest finished run of a row with so many images, if there is one."""
    for path in reversed(by_age(RUNS / world, f"{task}_{method}_*/result.json")):
        run = Run(path.parent)
        if run.config["data"]["count"] == count:
            return run
    return None


def cells(run: Run, kind: str, judge: AbstractMetric) -> list[str]:
    """What is measured of the pictures of a kind."""
    made, targets = run.pictures[kind], run.pictures["targets"]
    operators = [build(node) for node in run.config["operator"].values()]
    hidden = "all of it"
    if isinstance(operators[0], Mask):
        where = operators[0].visible(targets, {})[0, 0] == 0
        hidden = mean_with_interval(PSNR()(made[..., where][:, :, None], targets[..., where][:, :, None]), 2)
    return [mean_with_interval(PSNR()(made, targets), 2), hidden, mean_with_interval(judge(made, targets), 4)]


def rows(world: str, task: str, given: argparse.Namespace) -> tuple[list[str], dict[str, Tensor]]:
    """The lines of a task, and its pictures by the name of their row."""
    runs = {method: find(world, task, method, METHODS[method].count(given.count)) for method in given.methods}
    runs = {method: run for method, run in runs.items() if run is not None}
    if not runs:
        return [], {}
    first = max(runs.values(), key=lambda run: len(run.names))
    for method, run in runs.items():
        names = first.names[: len(run.names)]
        if (run.names, run.config["operator"]) != (names, first.config["operator"]):
            raise SystemExit(f"{world} {task} {method}: it is about other pictures than the rest; run it again")
    judge = build(first.config["metric"]["perceptual"])
    lines = [[task, TASKS[task].baseline, *cells(first, "observed", judge), "–", "–", str(len(first.names))]]
    pictures = {"truth": first.pictures["targets"], TASKS[task].baseline: first.pictures["observed"]}
    for method, run in runs.items():
        title = METHODS[method].title
        lines.append([task, title, *cells(run, "reconstructions", judge), *run.spent(), str(len(run.names))])
        pictures[title] = run.pictures["reconstructions"]
    return [f"| {' | '.join(line)} |" for line in lines], pictures


def sheet(path: Path, pictures: dict[str, Tensor]) -> None:
    """A row of pictures for each method."""
    columns = min(SHOWN, *map(len, pictures.values()))
    laid = grid(torch.cat([some[:columns] for some in pictures.values()]), columns)
    height = laid.shape[1] / len(pictures)
    figure = plt.figure(figsize=(1.1 * columns + 1.4, 1.1 * len(pictures)))
    axes = figure.add_axes((1.4 / (1.1 * columns + 1.4), 0, 1.1 * columns / (1.1 * columns + 1.4), 1))
    axes.imshow(to_uint8(laid[None])[0], interpolation="nearest")
    axes.set_yticks([height * (row + 0.5) for row in range(len(pictures))], list(pictures))
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def write(given: argparse.Namespace) -> None:
    """Print a table for each world, and draw a sheet for each of its tasks."""
    for world in given.worlds:
        print(f"\n{world}\n\n| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
        for task in given.tasks:
            lines, pictures = rows(world, task, given)
            print("\n".join(lines), flush=True)
            if pictures:
                sheet(given.figures / f"{world}_{task}.png", pictures)


def main() -> None:
    """Read what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_choices(parser)
    write(parser.parse_args())


if __name__ == "__main__":
    main()
