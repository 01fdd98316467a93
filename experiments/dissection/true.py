"""Is it true? Switching a class's units off against moving latents, at matched effect: prints a table of README.md.

    python experiments/dissection/true.py --names tree window cloud --figures experiments/dissection

Each picture is moved until half of the pixels of the class are left, as an annotator reads them: by the units of the
class, and by the difference of the means of latents with much and with little of it. What else has changed then is read
by the annotator's factors, and by a judge of another make.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from zstar.annotations.annotator import Annotator as Scorer
from zstar.directions.attribute import Attribute
from zstar.directions.base import AbstractDirection
from zstar.directions.units import load_units
from zstar.dissection.pictures import sheet
from zstar.editability.base import Traversal
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import write_png
from zstar.reports.numbers import mean_with_interval
from zstar.segmenters.annotator import Annotator
from zstar.spaces.w import W
from zstar.stats.streams import stream

LEFT = 0.5  # of the pixels of the class
RUNGS = 13  # strengths that are tried, evenly spaced up to the end
FARTHEST = 3.0  # standard deviations that latents are moved by at most
SHOWN = 8


def matched(traversal: Traversal, end: float, column: int, scorer: Scorer) -> tuple[Tensor, Tensor, Tensor]:
    """Each picture at the first strength at which half of the class is left, its scores there, and whether there is."""
    before = score(scorer, traversal.before)[:, column]
    images, scores = traversal.before.clone(), score(scorer, traversal.before)
    there = torch.zeros(len(before), dtype=torch.bool)
    for alpha in torch.linspace(0, end, RUNGS)[1:].tolist():
        made = traversal.render(torch.full((len(before),), alpha))
        found = score(scorer, made)
        now = ~there & (found[:, column] <= LEFT * before)
        images[now], scores[now], there = made[now], found[now], there | now
    return images, scores, there


@torch.no_grad()
def score(scorer: Scorer, images: Tensor) -> Tensor:
    """Factors and areas, ``[n, k]``."""
    return torch.cat([scorer.score(part) for part in images.split(32)])


def main() -> None:
    """Find, move, read, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", nargs="+", default=["tree", "window", "cloud"])
    parser.add_argument("--images", type=int, default=32, help="of those that have the class")
    parser.add_argument("--samples", type=int, default=1000, help="scored samples for the means")
    parser.add_argument("--units", default="units64")
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/dissection"))
    given = parser.parse_args()
    generator, scorer, judge = StyleGAN2(checkpoint="cottages64"), Scorer(count=given.samples), Annotator("judge64")
    space, units = W(generator), load_units(given.units, StyleGAN2(checkpoint="cottages64"))
    areas = [f"area/{name}" for name in given.names]
    means = Attribute(scorer, areas).find(space)
    others = [k for k, name in enumerate(scorer.names) if "/" not in name]
    print("| class | by | reached | other factors [95 %] | pixels of other classes elsewhere, % [95 %] | N |")
    print("|---|---|---|---|---|---|", flush=True)
    for name, area in zip(given.names, areas, strict=True):
        column, k = scorer.names.index(area), list(judge.classes).index(name)
        pool = space.sample(6 * given.images, stream("latents to move", 0))
        share = score(scorer, generator.synthesize(pool, "w").clamp(-1, 1))[:, column]
        v = {"latent": pool[share > 0.005][: given.images]}
        ways: dict[str, tuple[AbstractDirection, float]] = {"its units": (units[name], -1.0)}
        ways["attribute mean"] = means[area], -FARTHEST
        rows = []
        for way, (direction, end) in ways.items():
            traversal = Traversal(name, direction, generator, v, "w", torch.tensor([end, 0.0]))
            images, scores, there = matched(traversal, end, column, scorer)
            change = (scores - score(scorer, traversal.before)).abs()[there][:, others].nanmean(dim=1)
            old, new = judge(traversal.before), judge(images)
            moved = ((old != new) & (old != k)).float().mean(dim=(1, 2))[there] * 100
            cells = [name, way, f"{int(there.sum())} of {len(there)}"]
            cells += [mean_with_interval(change, 3), mean_with_interval(moved, 1)]
            print("| " + " | ".join([*cells, str(int(there.sum()))]) + " |", flush=True)
            rows += [traversal.before[:SHOWN]] * (not rows) + [images[:SHOWN]]
        given.figures.mkdir(parents=True, exist_ok=True)
        write_png(given.figures / f"true_{name}.png", sheet(rows))


if __name__ == "__main__":
    main()
