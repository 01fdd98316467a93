"""Optimised brushes: the latent moves until the segmenter sees the class where the stroke is."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from zstar.app.strokes import ALPHAS, BadStrokes, Stroke
from zstar.app.studio import AbstractBrush, Change
from zstar.config.constraints import POSITIVE, Within, require
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Group, Variables
from zstar.inversion import minimize
from zstar.losses.pixel import Pixel
from zstar.losses.segmentation import Segmentation
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.postprocess.base import grow
from zstar.regularizers.origin_norm import OriginNorm
from zstar.segmenters.base import AbstractSegmenter
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import chunks, stream

STRENGTHS = (0.5, 1.0, 1.5, 2.0, 3.0)  # of the way from a scene without the class to one with it
HERE, NOT_HERE = 0.5, 0.02  # shares of a stroke that a class has to cover, or may not
EASED = 0.1  # of what is outside that counts in a search that has led nowhere
FEWEST = 12  # samples that a mean is taken of, at the least


@dataclass(frozen=True)
class Weights:
    """What the optimised brush weighs against what.

    Attributes:
        samples: Scenes that the class's mean difference is taken of.
        steps: Optimizer steps behind the line search, and half as many more where that has led nowhere.
        lr: Their size, in units of the latents.
        outside: λ of the squared error outside of the stroke's reach, against the cross-entropy within it.
        enough: Probability of the class from which it is seen well enough.
        origin: μ of the distance from where the latent was.
        margin: How far beyond a stroke the picture may change, in shares of its side.
    """

    samples: int = 1024
    steps: int = 40
    lr: float = 0.01
    outside: float = 1000.0
    enough: float = 0.8
    origin: float = 0.05
    margin: float = 0.08

    def __post_init__(self) -> None:
        require("brush", Within(2 * FEWEST), samples=self.samples)
        require("brush", Within(0), steps=self.steps, outside=self.outside, origin=self.origin)
        require("brush", Within(0, 1, above=True), enough=self.enough)
        require("brush", POSITIVE, lr=self.lr)


class Scenes:
    """Samples of the generator with the class of each of their pixels: what scenes with a thing have in common.

    Arguments:
        generator: The generator.
        segmenter: Says what is where.
        space: Name of the space in which means are taken: w, where the generator has it.
        count: Number of samples.
    """

    def __init__(self, generator: AbstractGenerator, segmenter: AbstractSegmenter, space: str, count: int) -> None:
        self.generator, self.segmenter, self.space, self.count = generator, segmenter, space, count
        self._found: tuple[Tensor, Tensor] | None = None

    def draw(self) -> tuple[Float[Tensor, "n ..."], UInt8[Tensor, "n h w"]]:
        """The latents and the classes, drawn when they are first asked for."""
        if self._found is None:
            latents, classes, rng = [], [], stream("scenes of brushes", 0)
            with torch.no_grad():
                for size in chunks(self.count, 32):
                    latent = self.generator.bring(self.generator.sample(size, rng, space=self.space))
                    latents.append(latent)
                    classes.append(self.segmenter(self.generator.synthesize(latent, self.space)).byte())
            self._found = torch.cat(latents), torch.cat(classes)
        return self._found

    def difference(self, column: int, mask: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "..."]:
        """Mean latent of the scenes with a class in the mask, less that of the scenes without it there.

        Raises:
            BadStrokes: No scene has it there, or all have.
        """
        latents, classes = self.draw()
        weights = mask[0].to(latents) / mask.sum().clamp_min(1e-6)
        share = ((classes == column).to(latents) * weights).sum(dim=(1, 2))
        order = share.argsort(descending=True)
        most = max(FEWEST, int((share >= HERE).sum()))
        here = order[:most][share[order[:most]] > NOT_HERE]
        least = max(FEWEST, int((share <= NOT_HERE).sum()))
        without = order[-least:][share[order[-least:]] < HERE]
        name = self.segmenter.classes[column]
        if len(here) < FEWEST // 2:
            raise BadStrokes(f"no scene of this generator has a {name} there; paint where one can be, or choose units")
        if len(without) < FEWEST // 2:
            raise BadStrokes(f"every scene of this generator has a {name} there; paint elsewhere, or choose units")
        return latents[here].mean(dim=0) - latents[without].mean(dim=0)


class OptimizedBrush(AbstractBrush):
    """v* = argmin −log p(class | stroke) + λ‖outside‖² + μ‖v − v₀‖², begun along the class's mean difference in w.

    What makes it draw what the generator knows, and no pattern that the segmenter takes for it, is the start: a search
    over lengths of the way from scenes without the class there to scenes with it, and over the rows of w_plus that go.

    Arguments:
        space: The space of the latents that are moved, with its generator.
        segmenter: Says what is seen where.
        lock: Held while the generator is at work.
        weights: What is weighed against what.
    """

    def __init__(
        self, space: AbstractSpace, segmenter: AbstractSegmenter, lock: threading.Lock, weights: Weights | None = None
    ) -> None:
        weights = weights or Weights()
        self.space, self.segmenter, self.lock, self.weights = space, segmenter, lock, weights
        generator = space.generator
        self.home = "w" if space.name == "w_plus" else space.name
        self.scenes = Scenes(generator, segmenter, self.home, weights.samples)

    def __call__(self, stroke: Stroke, v: Variables, space: str, noise: str) -> Change:
        if space != self.space.name:
            raise BadStrokes(f"the optimised brush moves latents of {self.space.name}, and these are of {space}")
        with self.lock:
            moved = self.solve(stroke, v, noise)
        delta = ALPHAS[stroke.strength] * (moved - v["latent"])
        return lambda v: {**v, "latent": v["latent"] + delta}

    def solve(self, stroke: Stroke, v: Variables, noise: str = "const") -> Float[Tensor, "1 ..."]:
        """The latent that the equation ends at."""
        column, weights = self.segmenter.column(stroke.name, "brush"), self.weights
        mask = stroke.mask(self.space.generator.resolution).to(v["latent"])
        if mask.sum() == 0:
            raise BadStrokes("the stroke lies outside of the picture")
        way = self.scenes.difference(column, mask) * (1 if stroke.mode == "draw" else -1)
        objective = self.objective(stroke, v, mask, noise)
        with torch.no_grad():
            trials = torch.cat([v["latent"], *(v["latent"] + step for step in self.steps(way))])
            found = objective.repeated(len(trials))({**v, "latent": trials})
            best, steps = least(found.total), weights.steps
            if best == 0:  # each costs more outside than it brings, and from where it was the way is long
                best, steps = least(found.total - (1 - EASED) * found.terms["pixel"]), 3 * steps // 2
        start = {**v, "latent": trials[best][None]}
        if not steps:
            return start["latent"]
        return minimize(objective, start, [Group(["latent"])], steps).latent

    def objective(self, stroke: Stroke, v: Variables, mask: Float[Tensor, "1 1 h w"], noise: str) -> Objective:
        """The equation of a stroke."""
        weights, generator = self.weights, self.space.generator
        with torch.no_grad():
            image = generator.render(v, self.space.name, noise)
        outside = 1 - grow((mask > 0).to(mask), round(weights.margin * mask.shape[-1]))
        losses = {
            "segmentation": Segmentation(
                self.segmenter, stroke.name, absent=stroke.mode == "remove", enough=weights.enough
            ),
            "pixel": Pixel(weight=weights.outside, mask="outside"),
        }
        origin = OriginNorm(self.space, weights.origin, v["latent"])
        problem = Problem(self.space, losses, {"origin": origin}, Adam(lr=weights.lr), noise=noise)
        return Objective(problem, Targets({"image": image, "mask": mask, "outside": outside}, ["stroke"]))

    def steps(self, way: Float[Tensor, "..."]) -> Sequence[Float[Tensor, "1 ..."]]:
        """The way at several lengths, of w_plus along several ranges of its rows."""
        lengths = [length * way for length in STRENGTHS]
        if self.space.name != "w_plus":
            return [one[None] for one in lengths]
        rows = self.space.shape[0]
        half, most = rows // 2, 3 * rows // 4
        ranges = {(0, half), (0, most), (0, rows), (rows // 4, most), (rows // 4, rows), (half, rows)}
        chosen = [
            torch.zeros(rows, 1).index_fill_(0, torch.arange(low, high), 1.0)
            for low, high in sorted(ranges)
            if low < high
        ]
        return [(one * mask.to(one))[None] for one in lengths for mask in chosen]


def least(totals: Float[Tensor, " n"]) -> int:
    """Which of them is the smallest; one that is no number is never."""
    return int(totals.nan_to_num(nan=torch.inf).argmin())
