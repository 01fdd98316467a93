"""Projection without gradients."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import torch

from zstar.callbacks import Callback
from zstar.generators.variables import Variables
from zstar.inversion import Inversion, clock, conclude
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractProjector
from zstar.projectors.evolution import Search, evolve, population


class CMA(AbstractProjector):
    """CMA-ES about where the chain stands, or about the prior mean: a search that gradients can't mislead.

    Each image has a normal distribution of its own, which moves to where its candidates are good and learns their
    covariance (Hansen 2016, https://arxiv.org/abs/1604.00772, by the package ``cma``). The choice where the basin
    matters more than the last digit, as in z, and for a G or a loss without gradients; ``optimization`` behind it does
    the rest (pix2latent, Huh et al. 2020, https://arxiv.org/abs/2005.01703). Each image keeps the best v seen, and the
    start is one of them.

    Only the order of the candidates counts, and an image's random numbers are its own: it gets the same in any batch.
    One evaluation per candidate, of a forward pass alone. Noise maps stay as they are.

    Arguments:
        problem: The equation without its targets.
        generations: How often candidates are drawn.
        sigma: Standard deviation at the start, in units of the prior's spread: 1 covers the prior from its mean; less
            stays near a start that is good already.
        population: Candidates of an image per generation; null is 4 + 3 ln d in d dimensions, 18 for 128.
        diagonal: Learn variances only (Ros & Hansen 2008, https://doi.org/10.1007/978-3-540-87700-4_30), whose cost is
            linear in d. For d above 1000 or so, where covariances take longer to learn than there is time.
        chunk: Candidates of an image that are evaluated at once, which bounds the memory; null is as many as
            make 16 images together, or one of each image.
    """

    def __init__(
        self,
        problem: Problem,
        generations: int = 200,
        sigma: float = 1.0,
        population: int | None = None,
        diagonal: bool = False,
        chunk: int | None = None,
    ) -> None:
        super().__init__(problem)
        self.search = Search(generations, sigma, population, diagonal, chunk)
        self.search.require("projector.cma")

    @property
    def random(self) -> bool:
        return True

    @property
    def cost(self) -> int:
        return (2 + self.search.generations * population(self.problem, self.search)) * self.problem.cost()

    def scaled(self, share: float) -> "CMA":
        fewer = copy(self)
        fewer.search = replace(self.search, generations=max(1, int(self.search.generations * share)))
        return fewer

    @torch.no_grad()
    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Search for each image by itself."""
        return evolve(objective, inversion, self.search, _value, callbacks=callbacks, seconds=self.seconds)


def _value(objective: Objective, v: Variables) -> Inversion:
    """The candidates as they are."""
    spent = torch.zeros(len(v["latent"]), dtype=torch.long, device=v["latent"].device)
    return conclude(objective, v, [], spent, ["done"] * len(spent), clock(spent.device))
