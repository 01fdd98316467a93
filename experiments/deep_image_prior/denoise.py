"""Denoising by an untrained network: prints the table of README.md, draws strip.png and curves.png.

    python experiments/deep_image_prior/denoise.py --faces photos.tar --figures experiments/deep_image_prior

One descent for each image, to the last step. The rule watches it, and so do the oracle and the published mean of the
last pictures, which are no methods: the oracle looks at the clean picture, and no v draws a mean of pictures.
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from zstar.callbacks import Average, Steadiest, Step
from zstar.data.base import AbstractData
from zstar.data.cottages import Cottages
from zstar.data.folder import Folder
from zstar.generators.deep_image_prior import DeepImagePrior
from zstar.generators.variables import choose
from zstar.images import enlarge, grid, write_png
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.metrics.psnr import PSNR
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.projectors.untrained import Untrained
from zstar.reports.numbers import mean_with_interval
from zstar.spaces.z import Z
from zstar.stats.streams import stream

SIGMA = 2 * 25 / 255  # 25 of 255 levels, in [−1, 1]
EVERY = 10  # steps between two points of the curves
BATCH = 4
RULE, ORACLE, END, PICTURES = "the rule", "oracle", "to the last step", "mean of the last pictures, at the rule's step"


class Watch:
    """What a descent that goes on to the end passes by, beside the clean pictures.

    Attributes:
        rule: The rule, which here stops nothing.
        curve: PSNR of the mean weights every few steps, each ``[b]``.
        oracle: The best pictures of the curve.
        pictures: The mean of the last pictures at the step of the rule.
    """

    def __init__(self, problem: Problem, clean: Tensor, window: int, patience: int) -> None:
        self.problem, self.clean = problem, clean
        self.average, self.rule = Average(0.99), Steadiest(window, patience, Average(0.99))
        self.curve: list[Tensor] = []
        self.best, self.oracle = torch.full((len(clean),), -math.inf), clean
        self.going = torch.ones(len(clean), dtype=torch.bool)
        self.mean = self.pictures = torch.zeros_like(clean)

    @torch.no_grad()
    def __call__(self, step: Step) -> None:
        """Look at a step."""
        self.average(step)
        self.rule(replace(step, active=self.going))
        self.mean = self.mean.lerp(step.terms.image, max(0.01, 1 / (step.index + 1)))
        self.pictures = choose(self.rule.found == step.index + 1, self.mean, self.pictures)
        if step.index % EVERY == EVERY - 1:
            picture = self.problem.render(self.average.v)
            self.curve.append(psnr(picture, self.clean))
            better = self.curve[-1] > self.best
            self.oracle, self.best = choose(better, picture, self.oracle), torch.maximum(self.best, self.curve[-1])


def psnr(images: Tensor, clean: Tensor) -> Tensor:
    """Of each image, in dB."""
    return PSNR()(images.clamp(-1, 1), clean)


def denoise(data: AbstractData, given: argparse.Namespace) -> dict[str, Tensor]:
    """The pictures of each kind, the curves ``[b, t]``, and the steps of the rule and of the oracle ``[b]``."""
    generator = DeepImagePrior(given.resolution, inputs=given.inputs, width=given.width, scales=given.scales)
    problem = Problem(Z(generator), {"pixel": Pixel()}, {}, Adam(ramp_up=0, ramp_down=0))
    found = []
    for first in range(0, len(data), BATCH):
        batch = data.read(range(first, min(first + BATCH, len(data))))
        draws = [torch.randn(batch.images.shape[1:], generator=stream("noise of a study", 0, n)) for n in batch.ids]
        noisy = (batch.images + SIGMA * torch.stack(draws)).clamp(-1, 1)
        watch = Watch(problem, batch.images, given.window, given.patience)
        descent = Untrained(problem, given.steps, jitter=given.jitter, window=None)
        end = descent(Objective(problem, Targets({"image": noisy}, batch.ids)), callbacks=[watch])
        curve = torch.stack(watch.curve, dim=1)
        with torch.no_grad():
            ruled = problem.render(watch.rule.v)
        found.append(
            {"clean": batch.images, "noisy": noisy, RULE: ruled, PICTURES: watch.pictures, ORACLE: watch.oracle,
             END: end.image, "curve": curve, "stop": watch.rule.found, "best": (curve.argmax(dim=1) + 1) * EVERY}
        )  # fmt: skip
    return {name: torch.cat([part[name] for part in found]) for name in found[0]}


def lines(kind: str, found: dict[str, Tensor], given: argparse.Namespace) -> list[str]:
    """A row of the table for each way of choosing a step."""
    steps = {"noisy": "–", RULE: spread(found["stop"]), PICTURES: spread(found["stop"]), ORACLE: spread(found["best"])}
    steps[END] = str(given.steps)
    rows, before = [], psnr(found["noisy"], found["clean"])
    for name, at in steps.items():
        values = psnr(found[name], found["clean"])
        gain = "–" if name == "noisy" else mean_with_interval(values - before, 2)
        rows.append(f"| {kind} | {name} | {mean_with_interval(values, 2)} | {gain} | {at} | {len(values)} |")
    return rows


def spread(steps: Tensor) -> str:
    """Median, least and most."""
    return f"{int(steps.median())} ({int(steps.min())}–{int(steps.max())})"


def draw(found: dict[str, dict[str, Tensor]], folder: Path) -> None:
    """A row of pictures for each kind of picture, and a curve for each image."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [torch.cat([one[name] for one in found.values()]) for name in ("clean", "noisy", RULE, ORACLE, END)]
    write_png(folder / "strip.png", grid(enlarge(torch.cat(rows)), len(rows[0]), gap=4))
    _, panels = plt.subplots(1, len(found), figsize=(4.5 * len(found), 3.4), sharey=True, squeeze=False)
    for panel, (kind, one) in zip(panels[0], found.items(), strict=True):
        for i, curve in enumerate(one["curve"]):
            (line,) = panel.plot(EVERY * torch.arange(1, len(curve) + 1), curve, linewidth=1)
            stop = int(one["stop"][i])
            at = psnr(one[RULE][i : i + 1], one["clean"][i : i + 1]).item()
            panel.plot(stop, at, "o", color=line.get_color(), label=RULE if i == 0 else None)
            best = int(one["best"][i])
            panel.plot(best, curve[best // EVERY - 1], "x", color=line.get_color(), label=ORACLE if i == 0 else None)
        noisy = psnr(one["noisy"], one["clean"]).mean().item()
        panel.axhline(noisy, color="grey", linestyle=":", label="noisy, mean")
        panel.set(title=kind, xlabel="steps", ylabel="PSNR (dB) of the mean weights")
        panel.legend(frameon=False)
    plt.tight_layout()
    plt.savefig(folder / "curves.png", dpi=120)


def main() -> None:
    """Denoise, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--patience", type=int, default=300)
    parser.add_argument("--jitter", type=float, default=1.155)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--inputs", type=int, default=8)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--scales", type=int, default=4)
    parser.add_argument("--faces", help="folder or .tar of photos")
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/deep_image_prior"))
    given, found = parser.parse_args(), {}
    size = given.resolution
    sets: dict[str, AbstractData] = {"cottages": Cottages(given.images, resolution=size)}
    if given.faces:
        sets["faces"] = Folder(given.faces, size, 3, count=given.images)
    print("| pictures | step chosen by | PSNR, dB [95 %] | over the noisy input | step: median (range) | N |")
    print("|---|---|---|---|---|---|", flush=True)
    for kind, data in sets.items():
        found[kind] = denoise(data, given)
        print("\n".join(lines(kind, found[kind], given)), flush=True)
    draw(found, given.figures)


if __name__ == "__main__":
    main()
