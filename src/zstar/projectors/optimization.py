"""Projection by optimisation."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from zstar.callbacks import Average, Callback, EarlyStop
from zstar.config.constraints import Within, require
from zstar.generators.variables import Group
from zstar.inversion import Inversion
from zstar.objective import Objective, Problem
from zstar.optimizers.schedule import noise_scale
from zstar.projectors.base import AbstractDescent
from zstar.projectors.exploration import normals, require_stochastic
from zstar.spaces.simplex import to_simplex


class Optimization(AbstractDescent):
    """z* = argmin L(G(z), x) by gradient descent from where the chain stands, or from the prior mean.

    The reference method of the lecture; the choice of space, losses, optimizer and steps makes it iGAN, Image2StyleGAN
    or the StyleGAN2 projector (Karras et al., 2020, https://arxiv.org/abs/1912.04958).

    Arguments:
        problem: The equation without its targets.
        steps: Optimizer steps.
        explore: Strength of the decaying noise added to each coordinate of the latent, in units of the root mean square
            distance of a prior code from the mean; 0 for none. 0.05 is StyleGAN2's.
        explore_until: Fraction of the run at which that noise has decayed to nothing.
        keep_best: Return for each image the best v seen instead of the last one, if it is better.
        patience: Stop an image after so many steps without progress; ``null`` never does.
        min_delta: Relative decrease of the value that counts as progress.
        class_lr: Step size of the class of an image, in shares of 1, where it is a variable (``generator.label=own`` in
            z) and ``data.classes`` does not say it; 0 leaves it as it is, such as ``projector=[classes,optimization]``
            has found it.
        average: Decay of the running mean of v, which is returned in the place of the best v, whatever its value; from
            0 to below 1. ``null`` for none. Noisy last steps of Adam cancel out in it; 0.99 is usual for style
            transfer.
    """

    def __init__(
        self,
        problem: Problem,
        steps: int = 400,
        explore: float = 0.0,
        explore_until: float = 0.75,
        keep_best: bool = True,
        patience: int | None = None,
        min_delta: float = 1e-3,
        class_lr: float = 0.05,
        average: float | None = None,
    ) -> None:
        super().__init__(problem, steps, keep_best)
        require("projector.optimization", Within(0), steps=steps, explore=explore)
        require("projector.optimization", Within(0, 1, above=True), explore_until=explore_until)
        require("projector.optimization", Within(0, 1), min_delta=min_delta)
        require("projector.optimization", Within(0), class_lr=class_lr)
        require("projector.optimization", Within(1), patience=1 if patience is None else patience)
        if average is not None:
            require_average(problem, "projector.optimization", average, keep_best)
        if explore:
            require_stochastic(problem.optimizer, "projector.optimization.explore")
        self.explore = explore
        self.explore_until = explore_until
        self.patience = patience
        self.min_delta = min_delta
        self.class_lr = class_lr
        self.average = average

    @property
    def random(self) -> bool:
        return self.explore > 0

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Optimise each image by itself."""
        problem, targets = self.problem, objective.targets
        v = problem.start(targets) if inversion is None else inversion.v
        explore = self._explorer(targets.ids, v["latent"]) if self.explore else None
        stop = [] if self.patience is None else [EarlyStop(self.patience, self.min_delta)]
        callbacks = [*stop, *callbacks]
        groups = problem.groups(v)
        if "class" in v and targets.classes is None and self.class_lr:
            groups.append(Group(["class"], self.class_lr, to_simplex))
        chosen = None if self.average is None else Average(self.average)
        return self.descend(objective, v, groups, callbacks, explore, chosen).after(inversion)

    def _explorer(self, ids: list[str], latent: Tensor) -> Callable[[float], dict[str, Tensor]]:
        rngs = self.problem.rngs(ids, "explore")
        shape = self.problem.space.shape
        codes = shape[0] if len(shape) == 2 else 1  # w_plus is a code for each layer
        strength = self.explore * self.problem.space.spread * math.sqrt(math.prod(shape) / codes)

        numbers = normals(rngs, latent)

        def draw(fraction: float) -> dict[str, Tensor]:
            scale = strength * noise_scale(fraction, self.explore_until)
            return {} if scale == 0 else {"latent": next(numbers) * scale}

        return draw


def require_average(problem: Problem, key: str, average: float, keep_best: bool) -> None:
    """Refuse a running mean of v that is none, or that nobody would return."""
    if not 0 <= average < 1:
        raise ValueError(f"{key}.average: {average} is no decay; set it to 0 or more, below 1, or to null")
    if not problem.optimizer.stochastic:
        name = type(problem.optimizer).__name__
        raise ValueError(
            f"{key}.average: {name} puts points on trial, whose mean says nothing; set it to null, or take "
            "optimizer=adam"
        )
    if not keep_best:
        raise ValueError(f"{key}.average: the mean is kept in the place of the best; set {key}.keep_best=true")
