"""Optimisation of a picture from coarse to fine."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from zstar.callbacks import Callback
from zstar.config.constraints import Within, require
from zstar.config.reasons import Unfit
from zstar.generators.pixels import Pixels
from zstar.inversion import Inversion
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem
from zstar.postprocess.base import to_size
from zstar.projectors.base import AbstractProjector, winners
from zstar.projectors.optimization import Optimization, require_average
from zstar.projectors.pictures import require_pixels
from zstar.spaces.pixels import Pixels as PixelSpace


class Multiscale(AbstractProjector):
    """v* = argmin of the equation for small pictures first, scaled up as the start of the next size, and so on to G's.

    For ``generator=pixels``. In style transfer a network sees as far as its receptive field, so strokes of a style are
    as large as at the size that they were found at, and a step at half the size costs a quarter (the schedule of
    style-transfer-pytorch: Adam, each size with fewer steps, and the running mean of what it goes through). In
    gradient-domain editing colours get across a region sooner. Targets are scaled down with the picture.

    Arguments:
        problem: The equation without its targets; its optimizer takes the steps, from a fresh state at each size.
        steps: Optimizer steps at the smallest size.
        later_steps: Optimizer steps at each other size; ``null`` for half as many.
        smallest: Sizes are G's halved as long as they have so many pixels.
        average: Decay of the running mean of v that each size ends with, where the next begins; ``null`` for the best.
    """

    def __init__(
        self,
        problem: Problem,
        steps: int = 200,
        later_steps: int | None = None,
        smallest: int = 64,
        average: float | None = 0.99,
    ) -> None:
        super().__init__(problem)
        require_pixels(problem, "projector.multiscale")
        later_steps = (steps + 1) // 2 if later_steps is None else later_steps
        require("projector.multiscale", Within(1), steps=steps, later_steps=later_steps, smallest=smallest)
        if problem.operators:
            raise Unfit(
                f"projector.multiscale: operator.{next(iter(problem.operators))} is another one at another size; "
                "choose projector=[copy,optimization]"
            )
        if average is not None:
            require_average(problem, "projector.multiscale", average, keep_best=True)
        self.steps, self.later_steps, self.smallest, self.average = steps, later_steps, smallest, average

    @property
    def sizes(self) -> list[int]:
        """Pixels of a side, from coarse to fine."""
        sizes = [self.problem.generator.resolution]
        while sizes[-1] // 2 >= self.smallest:
            sizes.append(sizes[-1] // 2)
        return sizes[::-1]

    @property
    def optimizer_steps(self) -> int:
        return self.steps + self.later_steps * (len(self.sizes) - 1)

    @property
    def cost(self) -> int:
        return sum(stage.cost for stage in self._stages())

    def scaled(self, share: float) -> "Multiscale":
        """Fewer steps at each size."""
        fewer = copy(self)
        fewer.steps, fewer.later_steps = (max(1, int(n * share)) for n in (self.steps, self.later_steps))
        return fewer

    def _stages(self) -> list[Optimization]:
        """The descent at each size, within its share of the time that there is."""
        stages = []
        for place, size in enumerate(self.sizes):
            steps = self.later_steps if place else self.steps
            stages.append(Optimization(resized(self.problem, size), steps, average=self.average))
        if self.seconds is None:
            return stages
        work = [stage.steps * size**2 for stage, size in zip(stages, self.sizes, strict=True)]
        return [stage.timed(self.seconds * part / sum(work)) for stage, part in zip(stages, work, strict=True)]

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Optimise each picture by itself, size by size; what was found before stays where that is no better."""
        found = inversion
        for stage in self._stages():
            size = stage.problem.generator.resolution
            here = objective if size == self.problem.generator.resolution else _bound(stage.problem, objective.targets)
            found = stage(here, None if found is None else replace(found, v=_scaled(found, size)), callbacks)
        if inversion is None:
            return found
        return replace(found, **winners(found, inversion))


def resized(problem: Problem, size: int) -> Problem:
    """The same equation for pictures of ``size`` × ``size`` pixels."""
    generator = problem.generator
    if size == generator.resolution:
        return problem
    space = PixelSpace(Pixels(size, generator.channels).to(problem.space.origin.device), problem.space.prior_samples)
    terms = {name: term.at(space) for name, term in problem.regularizers.items()}
    return replace(problem, space=space, regularizers=terms)


def _bound(problem: Problem, targets: Targets) -> Objective:
    side = problem.generator.resolution
    named = {name: to_size(value, (side, side)) for name, value in targets.named.items()}
    return Objective(problem, replace(targets, named=named))


def _scaled(inversion: Inversion, size: int) -> dict[str, Float[Tensor, "b c h w"]]:
    return {"latent": to_size(inversion.latent, (size, size))}
