"""Finished runs of strokes → the table and the figure of README.md.

python experiments/strokes/table.py outputs/strokes --figures experiments/strokes
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor

from zstar.config.build import build
from zstar.data.reading import read_image
from zstar.generators.base import AbstractGenerator
from zstar.images import enlarge, write_png
from zstar.inversion import Inversion
from zstar.projection.alternatives import draw
from zstar.reports.captions import labelled
from zstar.reports.numbers import with_interval
from zstar.stats.bootstrap import bootstrap_interval

SPACES, KINDS = ("z", "w", "w_plus"), ("color", "sketch", "warp")
TITLES = {"color": "colour", "sketch": "sketch", "warp": "drag"}


@dataclass(frozen=True)
class Answers:
    """What a run has found for one task.

    Attributes:
        kind: Of the strokes.
        before: PSNR of G(z₀) against the true answer, in dB.
        found: PSNR of each alternative, the lowest value of the equation first.
        pictures: G(z₀) and the alternatives.
    """

    kind: str
    before: float
    found: list[float]
    pictures: Tensor


def main() -> None:
    """Print the table; write the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--figures", type=Path, required=True)
    arguments = parser.parse_args()
    print(
        "| strokes | space | starts | N | before | the first | the best of k | nearer than before |\n"
        + "|---" * 8
        + "|"
    )
    runs = sorted(read(arguments.folder), key=lambda run: (SPACES.index(run[0]), run[1]))
    for kind in (*KINDS, "all"):
        for space, count, answers in runs:
            print(line(kind, space, count, answers))
    print("\n| first, best | " + " | ".join(f"{space}, {count}" for space, count, _ in runs) + " |")
    print("|---" * (1 + len(runs)) + "|")
    for task in dict.fromkeys(Path(name).stem.rpartition("-")[0] for name in runs[0][2]):
        print(f"| {task} | " + " | ".join(gain(task, answers) for *_, answers in runs) + " |")
    best = max((run for run in runs), key=lambda run: (run[0] == "w_plus", run[1]))
    figure(best[2], arguments.folder / "tasks", arguments.figures)


def read(folder: Path) -> Iterator[tuple[str, int, dict[str, Answers]]]:
    """Space, number of starts, and the answers by the name of the task, of each run."""
    for path in sorted(folder.glob("strokes_*/result.json")):
        config = yaml.safe_load(path.with_name("config.yaml").read_text(encoding="utf-8"))
        generator = build(config["generator"], at="generator")
        inversion = Inversion.load(path.with_name("latents.safetensors"))
        count = config["projector"]["starts"]["count"]
        answers = {name: answer(folder, generator, inversion, row) for row, name in enumerate(inversion.ids)}
        yield json.loads(path.read_text(encoding="utf-8"))["space"], count, answers


def answer(folder: Path, generator: AbstractGenerator, inversion: Inversion, row: int) -> Answers:
    """The answers to one task."""
    name = inversion.ids[row]
    truth = read_image(folder / "tasks" / "after" / name, generator.resolution)
    latents = torch.cat([inversion.v["origin"][row : row + 1], inversion.v["alternatives/latent"][row]])
    with torch.no_grad():
        pictures = draw(generator, inversion, row, latents)
    error = ((pictures - truth) / 2).square().mean(dim=(1, 2, 3))
    before, *found = (-10 * error.log10()).tolist()
    return Answers(name.partition("-")[0], before, found, pictures)


def line(kind: str, space: str, count: int, answers: dict[str, Answers]) -> str:
    """A row of the table: PSNR against the true answer, with 95 % intervals over the tasks."""
    chosen = [one for one in answers.values() if kind in (one.kind, "all")]
    columns = [
        [one.before for one in chosen],
        [one.found[0] for one in chosen],
        [max(one.found) for one in chosen],
    ]
    numbers = [with_interval(*interval(column), 2) for column in columns]
    share = np.mean([max(one.found) > one.before for one in chosen])
    cells = [TITLES.get(kind, kind), space, str(count), str(len(chosen)), *numbers, f"{100 * share:.0f} %"]
    return "| " + " | ".join(cells) + " |"


def gain(task: str, answers: dict[str, Answers]) -> str:
    """How much nearer than before the first and the best are in the mean over the tasks of a kind and factor, in dB."""
    chosen = [one for name, one in answers.items() if Path(name).stem.rpartition("-")[0] == task]
    first, best = (np.mean([pick(one.found) - one.before for one in chosen]) for pick in (lambda found: found[0], max))
    return f"{first:+.1f}, {best:+.1f}"


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and its 95 % interval."""
    return float(np.mean(values)), *bootstrap_interval(np.array(values))


def figure(answers: dict[str, Answers], tasks: Path, folder: Path) -> None:
    """The first task of each kind and factor: picture, strokes, what came first, what was best, and the true answer."""
    cells, labels = [], []
    for name, one in answers.items():
        if not Path(name).stem.endswith("-0"):
            continue
        own = tasks / "strokes" / Path(name).stem
        sides = {side: read_image(tasks / side / name, one.pictures.shape[-1]) for side in ("before", "after")}
        best = int(np.argmax(one.found))
        cells += [
            overlaid(own, sides["before"]),
            one.pictures[0],
            one.pictures[1],
            one.pictures[1 + best],
            sides["after"],
        ]
        labels += [Path(name).stem[:-2], f"before {one.before:.1f} dB", f"first {one.found[0]:.1f} dB"]
        labels += [f"best, no. {best + 1}: {one.found[best]:.1f} dB", "true"]
    if cells:
        folder.mkdir(parents=True, exist_ok=True)
        sheet = labelled(enlarge(torch.stack(cells)), labels, 5, "strokes · before · the first · the best · the truth")
        write_png(folder / "answers.png", sheet)


def overlaid(strokes: Path, image: Tensor) -> Tensor:
    """The picture with the strokes of a task laid over it."""
    from zstar.data.layers import drawn, read_layers
    from zstar.projection.alternatives import mark

    targets = drawn(read_layers(strokes / "strokes.json"), image, "crop")
    return mark({name: value[None] for name, value in {**targets, "image": image}.items()})[0]


if __name__ == "__main__":
    main()
