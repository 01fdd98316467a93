"""Evolution strategies, one per image of a batch: what the gradient-free projectors search with."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zstar.callbacks import Callback, Step
from zstar.config.constraints import POSITIVE, Within, require
from zstar.config.reasons import Unfit
from zstar.generators.variables import Variables
from zstar.inversion import Inversion, clock, conclude
from zstar.objective import Objective, Problem, Terms
from zstar.projectors.base import winners

Evaluate = Callable[[Objective, Variables], Inversion]
BATCH = 16  # candidates of all images together that are in memory at once, or one of each image
WORST = torch.finfo(torch.float32).max  # stands for values that are not finite, which can't be ranked


@dataclass(frozen=True)
class Search:
    """Settings of CMA-ES that the projectors share; :class:`zstar.projectors.cma.CMA` explains them."""

    generations: int
    sigma: float
    population: int | None
    diagonal: bool
    chunk: int | None

    def require(self, group: str) -> None:
        """Raise ``ValueError`` for what can't be, with the name that it has in the configuration."""
        require(group, Within(0), generations=self.generations)
        require(group, POSITIVE, sigma=self.sigma)
        require(group, Within(4), population=4 if self.population is None else self.population)
        require(group, Within(1), chunk=1 if self.chunk is None else self.chunk)
        package()


def package() -> ModuleType:
    """The package ``cma``, which is optional."""
    try:
        import cma
    except ImportError as error:
        raise Unfit(
            "projector: cma and basin_cma need the package cma; install zstar[cma] or choose "
            "projector=[best_of,optimization]"
        ) from error
    return cma


class Strategies:
    """One CMA-ES for each image, about ``start`` and with the image's own random numbers.

    Coordinates are whitened: distances from the prior's mean, in units of its spread.

    Arguments:
        problem: The equation, whose space has the mean and the spread.
        ids: Names of the images.
        start: Where the searches begin, ``[b, ...]``.
        search: Settings.
    """

    def __init__(self, problem: Problem, ids: Sequence[str], start: Float[Tensor, "b ..."], search: Search) -> None:
        self.mean, self.spread, self.like = problem.space.mean.to(start), max(problem.space.spread, 1e-12), start
        options = {"verbose": -10, "seed": np.nan, "signals_filename": ""}  # silent, and no file can change its options
        options |= {} if search.population is None else {"popsize": search.population}
        options |= {"CMA_diagonal": True} if search.diagonal else {}
        self.engines = [
            package().CMAEvolutionStrategy(white, search.sigma, {**options, "randn": normal(rng)})
            for white, rng in zip(self._whiten(start), problem.rngs(ids, "cma"), strict=True)
        ]
        self.candidates: list[list[np.ndarray]] = [[] for _ in self.engines]

    def ask(self, active: Sequence[bool]) -> Float[Tensor, "b k ..."]:
        """The next candidates of each image; of one that has stopped, its last ones."""
        for index, on in enumerate(active):
            if on:
                self.candidates[index] = self.engines[index].ask()
        white = torch.from_numpy(np.array(self.candidates)).to(self.like)
        return self.mean + self.spread * white.view(*white.shape[:2], *self.like.shape[1:])

    def tell(self, active: Sequence[bool], values: Float[Tensor, "b k"]) -> None:
        """Report the losses of the candidates of the images that go on."""
        for index, row in enumerate(values.double().nan_to_num(WORST, WORST).tolist()):
            if active[index]:
                self.engines[index].tell(self.candidates[index], row)

    def inject(self, active: Sequence[bool], latent: Float[Tensor, "b ..."]) -> None:
        """Make ``latent`` one of the next candidates of its image, drawn nearer if it is farther than they are."""
        for index, white in enumerate(self._whiten(latent)):
            if active[index]:
                self.engines[index].inject([white])

    def finished(self) -> list[bool]:
        """Which searches have ended by themselves: collapsed to a point, or flat."""
        return [bool(engine.stop()) for engine in self.engines]

    def _whiten(self, latent: Tensor) -> list[np.ndarray]:
        return list(((latent - self.mean) / self.spread).flatten(1).double().cpu().numpy())


def population(problem: Problem, search: Search) -> int:
    """Candidates of an image in a generation: as set, or CMA-ES's own choice for the dimensions of the space."""
    return search.population or 4 + int(3 * math.log(math.prod(problem.space.shape)))


def normal(rng: torch.Generator) -> Callable[..., np.ndarray]:
    """Standard normal numbers of the given shape from ``rng``."""
    return lambda *shape: torch.randn(*shape, generator=rng, dtype=torch.float64).numpy()


def evolve(
    objective: Objective,
    inversion: Inversion | None,
    search: Search,
    evaluate: Evaluate,
    inject: bool = False,
    callbacks: Sequence[Callback] = (),
    seconds: float | None = None,
) -> Inversion:
    """Search for each image by itself, all of a batch at once; the best v seen wins, the start included.

    Arguments:
        objective: The equation and its targets.
        inversion: Where the chain stands; ``None`` is the prior mean.
        search: Settings.
        evaluate: Equation for n candidates, their v → what became of them.
        inject: Make what became of a generation's best candidate a candidate of the next generation.
        callbacks: Called once per generation, with the best v before it.
        seconds: Per image, after which no new generation begins.
    """
    problem, ids, device = objective.problem, objective.targets.ids, objective.targets.images.device
    began, b = clock(device), len(ids)
    v = problem.start(objective.targets) if inversion is None else inversion.v
    best = conclude(objective, v, [], torch.zeros(b, dtype=torch.long, device=device), ["done"] * b, began)
    evaluations, active = best.evaluations, torch.ones(b, dtype=torch.bool, device=device)
    unknown = {name: torch.full_like(best.loss, torch.nan) for name in best.history if name != "total"}
    strategies, history, many = Strategies(problem, ids, v["latent"], search), [], {}
    for index in range(search.generations):
        history.append({"total": best.loss.where(active, torch.nan), **unknown})
        step = Step(index, search.generations, Terms(best.loss, {}, best.image), best.v, active)
        going = active.tolist()
        population = strategies.ask(going)
        values, lead = [], None
        for part in population.split(search.chunk or max(1, BATCH // b), dim=1):
            count = part.shape[1]
            copies = {name: value.repeat_interleave(count, dim=0) for name, value in v.items() if name != "latent"}
            latent = problem.space.constrain(part.flatten(0, 1))
            candidates = {"latent": problem.space.hold(latent, v["latent"].repeat_interleave(count, dim=0)), **copies}
            if count not in many:
                many[count] = objective.repeated(count)
            found = evaluate(many[count], candidates)
            values.append(found.loss.view(b, count))
            evaluations = evaluations + found.evaluations.view(b, count).sum(dim=1) * active
            first = leading(found, ids)
            lead = first if lead is None else replace(lead, **winners(first, lead))
        strategies.tell(going, torch.cat(values, dim=1))
        if inject:
            strategies.inject((active & lead.loss.isfinite()).tolist(), lead.latent)
        lead = replace(lead, loss=lead.loss.where(active, torch.inf))  # an image that has stopped keeps its v
        best = replace(best, **winners(lead, best))
        for callback in callbacks:
            callback(step)
        active &= ~torch.tensor(strategies.finished(), device=device)
        if not active.any() or (seconds is not None and clock(device) - began >= seconds * b):
            break
    status = ["done" if on else "stopped" for on in active.tolist()]
    return conclude(objective, best.v, history, evaluations, status, began).after(inversion)


def leading(inversion: Inversion, ids: list[str]) -> Inversion:
    """Of n candidates, which follow one another image by image, the best of each image."""
    values = inversion.loss.view(len(ids), -1)
    rows = values.nan_to_num(WORST, WORST).argmin(dim=1)
    rows = rows + torch.arange(len(ids), device=rows.device) * values.shape[1]
    return replace(inversion.select(rows.tolist()), ids=ids, history={})
