"""Is it true? Switching a class's units off against moving latents, at matched effect: prints a table of README.md.

    python experiments/dissection/true.py --names tree window --walks window=directions64/windows

Each picture is moved until half of the pixels of the class are left, as an annotator reads them: by the units of the
class; by directions of latents, which are the difference of the means of those with much and with little of it, the
normal of a support vector machine between them, and a walk that ``task=direction`` has learned; and by a brush that
optimises the latent until the class is gone, on the straight way to where that leads. What else has changed then is
read by the annotator's factors, and by a judge of another make.
"""

import argparse
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.ndimage import find_objects, label
from torch import Tensor

from zstar.annotations.annotator import Annotator as Scorer
from zstar.app.optimized import OptimizedBrush
from zstar.app.strokes import BadStrokes, Stroke
from zstar.directions.attribute import Attribute
from zstar.directions.base import AbstractDirection
from zstar.directions.interfacegan import InterFaceGAN
from zstar.directions.library import load_directions
from zstar.directions.units import load_units
from zstar.dissection.pictures import sheet
from zstar.editability.base import Traversal
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import write_png
from zstar.reports.numbers import mean_with_interval
from zstar.segmenters.annotator import Annotator
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.stats.streams import stream

LEFT = 0.5  # of the pixels of the class
RUNGS = 13  # strengths that are tried, evenly spaced up to the end
FARTHEST = 3.0  # standard deviations that latents are moved by at most
SHOWN = 8
LEAST = 4  # pixels of a thing that gets a stroke
UNITS, MEAN, NORMAL, WALK, BRUSH = "its units", "attribute mean", "InterFaceGAN", "learned walk", "optimised brush"


@dataclass(frozen=True)
class Way:
    """A way from a picture to one with less of a class: strength of each picture → pictures, and where it ends."""

    render: Callable[[Tensor], Tensor]
    end: float


class Table:
    """Pictures, who reads them, and the ways that lead from them.

    Arguments:
        generator: The generator.
        scorer: Reads factors and areas; by it pictures are matched.
        judge: Sees classes, and is asked at the end alone.
        given: The command line.
    """

    def __init__(self, generator: StyleGAN2, scorer: Scorer, judge: Annotator, given: argparse.Namespace) -> None:
        self.generator, self.scorer, self.judge, self.given = generator, scorer, judge, given
        self.space, self.units = W(generator), load_units(given.units, generator)
        areas = [f"area/{name}" for name in given.names]
        self.found = {
            MEAN: Attribute(scorer, areas).find(self.space),
            NORMAL: InterFaceGAN(scorer, areas, least=min(500, given.samples // 4)).find(self.space),
        }
        self.walks = dict(walk(word, generator) for word in given.walks)
        self.brush = OptimizedBrush(WPlus(generator), Annotator(), threading.Lock())
        self.others = [k for k, name in enumerate(scorer.names) if "/" not in name]

    def ways(self, name: str, latents: Tensor) -> Iterator[tuple[str, Way]]:
        """All of them, by name."""
        moves: dict[str, tuple[AbstractDirection, float]] = {UNITS: (self.units[name], -1.0)}
        moves |= {way: (found[f"area/{name}"], -FARTHEST) for way, found in self.found.items()}
        if name in self.walks:
            moves[WALK] = self.walks[name], 2 * self.walks[name].label.low
        for way, (direction, end) in moves.items():
            at = Traversal(name, direction, self.generator, {"latent": latents}, "w", torch.tensor([end, 0.0]))
            yield way, Way(at.render, end)
        start = self.generator.lift(latents, "w", "w_plus")
        moved = torch.cat([self.erase(name, one) for one in start.split(1)])
        yield BRUSH, Way(lambda alpha: self.draw(start.lerp(moved, alpha.view(-1, 1, 1))), 1.0)

    @torch.no_grad()
    def draw(self, latents: Tensor) -> Tensor:
        """Pictures of w_plus."""
        return torch.cat([self.generator.synthesize(part, "w_plus").clamp(-1, 1) for part in latents.split(32)])

    def erase(self, name: str, latent: Tensor) -> Tensor:
        """Where the brush leads, with a stroke down the middle of each thing, a little wider than it is."""
        seen = self.brush.segmenter(self.draw(latent))[0] == list(self.judge.classes).index(name)
        v = {"latent": latent}
        for y, x in find_objects(label(seen.numpy())[0]):
            height, width = y.stop - y.start, x.stop - x.start
            if height * width < LEAST:
                continue
            size, middle = width + 3.0, (x.start + x.stop) / 2
            ends = y.start + size / 2, y.stop - size / 2
            stroke = Stroke(name, ((middle, min(ends)), (middle, max(ends))), size, "optimize", "remove")
            try:
                v = self.brush(stroke, v, "w_plus", "const")(v)
            except BadStrokes:  # no scene is without it there
                continue
        return v["latent"]

    def score(self, images: Tensor) -> Tensor:
        """Factors and areas, ``[n, k]``."""
        with torch.no_grad():
            return torch.cat([self.scorer.score(part) for part in images.split(32)])

    def matched(self, way: Way, before: Tensor, column: int) -> tuple[Tensor, Tensor, Tensor]:
        """Each picture at the first strength at which half of the class is left, its scores there, and whether there
        is one."""
        first = self.score(before)
        images, scores, there = before.clone(), first.clone(), torch.zeros(len(before), dtype=torch.bool)
        for alpha in torch.linspace(0, way.end, RUNGS)[1:].tolist():
            made = way.render(torch.full((len(before),), alpha))
            found = self.score(made)
            now = ~there & (found[:, column] <= LEFT * first[:, column])
            images[now], scores[now], there = made[now], found[now], there | now
        return images, scores, there

    def rows(self, name: str) -> Tensor:
        """Print the rows of a class; a sheet of the first pictures, as they are and by each way."""
        column, k = self.scorer.names.index(f"area/{name}"), list(self.judge.classes).index(name)
        pool = self.space.sample(6 * self.given.images, stream("latents to move", 0))
        latents = self.draw(self.generator.lift(pool, "w", "w_plus"))
        chosen = (self.score(latents)[:, column] > 0.005).nonzero().flatten()[: self.given.images]
        before, shown = latents[chosen], [latents[chosen][:SHOWN]]
        first, old = self.score(before), self.judge(before)
        for title, way in self.ways(name, pool[chosen]):
            images, scores, there = self.matched(way, before, column)
            change = (scores - first).abs()[there][:, self.others].nanmean(dim=1)
            new = self.judge(images)
            moved = ((old != new) & (old != k)).float().mean(dim=(1, 2))[there] * 100
            cells = [name, title, f"{int(there.sum())} of {len(there)}"]
            cells += [mean_with_interval(change, 3), mean_with_interval(moved, 1)] if len(change) > 1 else ["–", "–"]
            print("| " + " | ".join([*cells, str(int(there.sum()))]) + " |", flush=True)
            shown.append(images[:SHOWN])
        return sheet(shown)


def walk(word: str, generator: StyleGAN2) -> tuple[str, AbstractDirection]:
    """``window=directions64/windows`` → the class, and the direction of this name in this file."""
    name, _, place = word.partition("=")
    path, _, key = place.rpartition("/")
    return name, load_directions(path, generator)[key]


def main() -> None:
    """Find, move, read, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", nargs="+", default=["tree", "window", "cloud"])
    parser.add_argument("--images", type=int, default=32, help="of those that have the class")
    parser.add_argument("--samples", type=int, default=5000, help="scored samples that directions are found from")
    parser.add_argument("--units", default="units64")
    parser.add_argument("--walks", nargs="*", default=[], help="learned walks, such as window=directions64/windows")
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/dissection"))
    given = parser.parse_args()
    generator, scorer, judge = StyleGAN2(checkpoint="cottages64"), Scorer(count=given.samples), Annotator("judge64")
    table = Table(generator, scorer, judge, given)
    print("| class | by | reached | other factors [95 %] | pixels of other classes elsewhere, % [95 %] | N |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in given.names:
        write_png(given.figures / f"true_{name}.png", table.rows(name))


if __name__ == "__main__":
    main()
