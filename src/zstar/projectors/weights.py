"""Projection that fits the generator itself to the image."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from zstar.callbacks import Callback
from zstar.config.constraints import POSITIVE, Within, require
from zstar.config.reasons import Unfit
from zstar.generators.variables import named
from zstar.inversion import Inversion
from zstar.objective import Group, Objective, Problem
from zstar.projectors.base import AbstractDescent


class Weights(AbstractDescent):
    """θ* = argmin L(G(z; θ), x), from where the chain stands: each image gets a change of the generator's weights.

    The choice where no latent has what makes a photo itself: ``projector=[mean,optimization,weights]`` in w is pivotal
    tuning (PTI, Roich et al. 2022, https://arxiv.org/abs/2106.05744), which keeps a latent that can be edited and lets
    θ give what it lacks. All parameters that images of the space depend on are free, and nothing holds them back but
    the number of steps. The generator stays as it is; the change is part of the result, and is kept with it: as many
    numbers for an image as G has parameters.

    Arguments:
        problem: The equation without its targets; its optimizer takes the steps.
        steps: Optimizer steps.
        lr: Step size of the weights.
        latent_lr: Step size of the latent, which then goes on as well; null keeps it.
        keep_best: Return for each image the best v seen instead of the last one, if it is better.
    """

    def __init__(
        self,
        problem: Problem,
        steps: int = 100,
        lr: float = 1e-3,
        latent_lr: float | None = None,
        keep_best: bool = True,
    ) -> None:
        super().__init__(problem, steps, keep_best)
        require("projector.weights", Within(0), steps=steps)
        require("projector.weights", POSITIVE, lr=lr, latent_lr=1.0 if latent_lr is None else latent_lr)
        if next(problem.generator.parameters(), None) is None:
            name = type(problem.generator).__name__
            raise Unfit(f"projector.weights: {name} has no weights to fit; remove weights from projector")
        self.lr = lr
        self.latent_lr = latent_lr

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Fit the weights to each image by itself."""
        problem, count = self.problem, len(objective.targets.ids)
        v = problem.start(objective.targets) if inversion is None else inversion.v
        free = problem.generator.free_weights(problem.space.name)
        none = named("weights", {name: torch.zeros(count, *theta.shape).to(theta) for name, theta in free.items()})
        groups = [Group(list(none), rate=self.lr)]
        if self.latent_lr is not None:
            groups += [replace(group, rate=self.latent_lr) for group in problem.groups(v)]
        found = self.descend(objective, {**v, **none, **v}, groups, callbacks)
        return found.after(inversion)
