"""A stage of fitting the generator to the image: some of its parameters are free, for some steps."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from torch import Tensor

from zstar.callbacks import Callback
from zstar.config.constraints import POSITIVE, Within, require
from zstar.config.signatures import fits, nearest, show
from zstar.generators.changes import forms_of, full, low_rank
from zstar.generators.parameters import choose_parameters
from zstar.generators.variables import Group
from zstar.inversion import Inversion
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractDescent

OWN = ("steps", "lr", "latent_lr", "layers", "resolutions", "kinds", "depth")  # what each stage may have of its own


class WeightStage(AbstractDescent):
    """Free some parameters of G, and the latent where it has a rate, from where the chain stands.

    What v has of a parameter's change already goes on in its form; else the change begins at nothing.

    Arguments:
        problem: The equation without its targets.
        parameters: What is free of θ, by name.
        steps: Optimizer steps.
        lr: Step size of the weights.
        latent_lr: Step size of the latent; ``None`` keeps it.
        rank: Of changes that begin; ``None`` for changes in full.
        keep_best: Return for each image the best v seen instead of the last one, if it is better.
        stops: Callbacks that stop images early.
    """

    frees = ("weights",)

    def __init__(
        self,
        problem: Problem,
        parameters: Mapping[str, Tensor],
        steps: int,
        lr: float,
        latent_lr: float | None,
        rank: int | None,
        keep_best: bool,
        stops: Sequence[Callback],
    ) -> None:
        super().__init__(problem, steps, keep_best)
        self.parameters, self.lr, self.latent_lr, self.rank, self.stops = parameters, lr, latent_lr, rank, stops

    def split(self, share: float) -> "tuple[WeightStage, WeightStage]":
        """Two stages of the same kind, the first with ``share`` of the steps and the second with the others."""
        first, second = copy(self), copy(self)
        first.steps = round(self.steps * share)
        second.steps = self.steps - first.steps
        return first, second

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Fit the weights to each image by itself."""
        problem = self.problem
        v = problem.start(objective.targets) if inversion is None else inversion.v
        count, none, free = len(v["latent"]), {}, []
        for name, parameter in self.parameters.items():
            known = forms_of(name, v)
            if not known:
                rank = self.rank
                begun = full(name, parameter, count) if rank is None else low_rank(name, parameter, count, rank)
                none |= begun
                known = list(begun)
            free += [key for key in known if not key.endswith("/places")]
        groups = [Group(free, rate=self.lr)]
        if self.latent_lr is not None:
            groups += [replace(group, rate=self.latent_lr) for group in problem.groups(v)]
        return self.descend(objective, {**v, **none}, groups, [*self.stops, *callbacks]).after(inversion)


def require_settings(key: str, stage: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    """Refuse settings that no stage has of its own, and values of another type than ``hints`` says; one sentence."""
    for name, value in stage.items():
        if name not in OWN:
            raise ValueError(f"{key}: a stage has no '{name}' of its own; {nearest(name, OWN)}")
        if not fits(value, hints[name]):
            raise ValueError(f"{key}.{name}: a stage expects {show(hints[name])}, not {value!r}")


def make_stage(
    problem: Problem,
    key: str,
    settings: Mapping[str, Any],
    rank: int | None,
    keep_best: bool,
    stops: Sequence[Callback],
) -> WeightStage:
    """A stage of ``settings``, each of ``OWN``, which the configuration has under ``key``.

    Raises:
        ValueError: A value that is not possible.
    """
    steps, lr, latent_lr, *chosen = (settings[name] for name in OWN)
    require(key, Within(0), steps=steps)
    require(key, POSITIVE, lr=lr, latent_lr=1.0 if latent_lr is None else latent_lr)
    parameters = choose_parameters(problem.generator, problem.space.name, *chosen, key=key)
    return WeightStage(problem, parameters, steps, lr, latent_lr, rank, keep_best, stops)
