"""Evolution of starts."""

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import torch

from zstar.callbacks import BestSoFar, Callback
from zstar.config.constraints import Within, require
from zstar.generators.variables import Variables, choose_all
from zstar.inversion import Inversion, minimize
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractProjector
from zstar.projectors.evolution import Search, evolve, population


class BasinCMA(AbstractProjector):
    """CMA-ES over starts: each candidate is worth what a few gradient steps make of it (pix2latent, Huh et al. 2020,
    https://arxiv.org/abs/2005.01703).

    So the search sees the floors of basins instead of the points where it happened to land in them. The choice where
    plain descent ends in poor minima and time is no object; ``optimization`` behind it finishes the best. Each image
    keeps the best v seen, and the start is one of them.

    The distribution learns from the candidates as drawn, with their values after the steps, as published. A generation
    costs population · (steps + 1) evaluations. An image gets what it would get alone as far as the problem's optimizer
    sees to that.

    Arguments:
        problem: The equation without its targets; its optimizer takes the steps, from a fresh state for each candidate.
        steps: Gradient steps per candidate.
        inject: Make what became of the best candidate of a generation a candidate of the next one.
        generations, sigma, population, diagonal, chunk: As for :class:`zstar.projectors.cma.CMA`.
    """

    def __init__(
        self,
        problem: Problem,
        generations: int = 30,
        steps: int = 30,
        sigma: float = 1.0,
        population: int | None = None,
        inject: bool = False,
        diagonal: bool = False,
        chunk: int | None = None,
    ) -> None:
        super().__init__(problem)
        self.search = Search(generations, sigma, population, diagonal, chunk)
        self.search.require("projector.basin_cma")
        require("projector.basin_cma", Within(1), steps=steps)
        self.steps = steps
        self.inject = inject

    @property
    def random(self) -> bool:
        return True

    @property
    def cost(self) -> int:
        candidates = self.search.generations * population(self.problem, self.search)
        return (2 + candidates * (self.steps + 1)) * self.problem.cost()

    def scaled(self, share: float) -> "BasinCMA":
        """Generations and steps shrink alike, as between the authors' thorough choice (30 and 30) and fast one (10 and
        10); one is rounded and the other cut, so that they do not both jump at once."""
        fewer, root = copy(self), math.sqrt(share)
        fewer.search = replace(self.search, generations=max(1, int(self.search.generations * root)))
        fewer.steps = max(1, round(self.steps * root))
        return fewer

    @torch.no_grad()
    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Search for each image by itself."""
        return evolve(objective, inversion, self.search, self._refine, self.inject, callbacks, self.seconds)

    def _refine(self, objective: Objective, v: Variables) -> Inversion:
        """Each candidate after its steps, at the best point on the way."""
        best = BestSoFar()
        found = minimize(objective, v, self.problem.groups(v), self.steps, callbacks=[best])
        early = (best.total < found.loss) | ~found.loss.isfinite()
        if not early.any():
            return found
        again = choose_all(early, best.v, found.v)
        return replace(found, v=again, image=self.problem.render(again), loss=best.total.where(early, found.loss))
