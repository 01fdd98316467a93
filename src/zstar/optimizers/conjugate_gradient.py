"""Conjugate gradients for each image by itself."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zstar.config.constraints import Within, require
from zstar.optimizers.base import AbstractOptimizer, Objective, value_and_gradient
from zstar.optimizers.multilevel import Multilevel

LEAST = 1e-3  # largest change of a number by a trial, at the least: smaller ones drown in rounding
Numbers = dict[str, Tensor]


@dataclass
class State:
    """Where each image stands.

    Attributes:
        steps: Steps taken.
        point, gradient: The point and the gradient there; that is followed, not evaluated, between refreshments.
        steep: The gradient behind the preconditioner.
        ahead: The direction, conjugate to those before it.
        trial: How far along it the variables are put for the next evaluation, in lengths of it, ``[b]``.
        scales: The preconditioner of each variable.
    """

    steps: int
    point: Numbers
    gradient: Numbers
    steep: Numbers
    ahead: Numbers
    trial: Tensor
    scales: dict[str, Multilevel]


class ConjugateGradient(AbstractOptimizer):
    """Conjugate gradients (Hestenes & Stiefel 1952, https://doi.org/10.6028/jres.049.044) for quadratic equations, one
    independent run per image of a batch.

    The choice for gradient-domain editing and wherever G and D are linear and all terms are squares: no step size, no
    line search, and no matrix. An equation that is not quadratic is refused before anything begins; choose ``lbfgs``
    there.

    A step is one evaluation, on trial a little ahead of the point. How much the gradient has changed on the way there
    is the Hessian times the direction, exactly, as the equation is quadratic; that gives the length of the step, the
    gradient behind it, and the next direction (Polak & Ribière 1969, which bears rounding best). Each image has its own
    lengths. The value of a step is that of its trial.

    The first steps, four for each halving of a picture's size, are spent on the preconditioner
    (:class:`zstar.optimizers.multilevel.Multilevel`), with which the number of others hardly grows with the size of the
    picture and with what the weights of the losses differ by.

    Arguments:
        multilevel: Whether there is a preconditioner, for variables that are grids ``[b, c, h, w]``.
        refresh: Steps after which the gradient at the point is evaluated anew, so that rounding does not add up.
    """

    stochastic = False
    recovers = False
    quadratic = True
    lr = 1.0

    def __init__(self, multilevel: bool = True, refresh: int = 50) -> None:
        require("optimizer", Within(2), refresh=refresh)
        self.multilevel, self.refresh = multilevel, refresh

    def start(self, variables: Mapping[str, Tensor], rates: Mapping[str, float]) -> State:
        """Nothing known: the first step takes the variables as they are. Step sizes mean nothing here."""
        grids = {name: value for name, value in variables.items() if self.multilevel and value.dim() == 4}
        nothing = {name: torch.zeros_like(value) for name, value in variables.items()}
        trial = next(iter(nothing.values())).flatten(1)[:, 0]
        scales = {name: Multilevel(value) for name, value in grids.items()}
        return State(0, _sum(variables, 0, nothing), nothing, nothing, nothing, trial, scales)

    def step(
        self, variables: Numbers, state: State, objective: Objective, fraction: float
    ) -> tuple[Float[Tensor, " b"], Int[Tensor, " b"]]:
        """One evaluation of each image: the gradient at its point, or how that changes towards a trial."""
        values, gradient = value_and_gradient(objective, variables)
        probes = max((scale.probes for scale in state.scales.values()), default=0)
        place, state.steps = state.steps, state.steps + 1
        if place == 0:
            state.gradient = gradient
        elif place <= probes:
            self._learn(state, place - 1, _sum(gradient, -1, state.gradient))
        elif (place - probes) % self.refresh == 0:
            state.gradient = gradient
        else:
            self._move(state, gradient)
        if place == probes:
            state.steep = self._precondition(state, state.gradient)
            state.ahead = {name: -value for name, value in state.steep.items()}
            state.trial = LEAST / _largest(state.ahead)
        self._put(variables, state, probes)
        return values, torch.ones_like(values, dtype=torch.long)

    def _put(self, variables: Numbers, state: State, probes: int) -> None:
        """Put the variables where the next evaluation is."""
        offset = None
        if state.steps <= probes:
            place = state.steps - 1
            offset = {n: LEAST * s.probe(place) for n, s in state.scales.items() if place < s.probes}
        elif (state.steps - probes) % self.refresh:
            offset = {n: _wide(state.trial, value) * value for n, value in state.ahead.items()}
        for name, point in state.point.items():
            variables[name].copy_(point + offset[name] if offset and name in offset else point)

    def _learn(self, state: State, place: int, change: Numbers) -> None:
        for name, scale in state.scales.items():
            if place < scale.probes:
                scale.learn(place, change[name] / LEAST)

    def _precondition(self, state: State, gradient: Numbers) -> Numbers:
        return {n: state.scales[n](value) if n in state.scales else value for n, value in gradient.items()}

    def _move(self, state: State, gradient: Numbers) -> None:
        """Go to the minimum along the direction, and turn to the next one."""
        inverse = torch.where(state.trial > 0, 1 / state.trial, 0.0)
        bent = {n: _wide(inverse, value) * (value - state.gradient[n]) for n, value in gradient.items()}
        curvature = _dot(state.ahead, bent)
        length = torch.where(curvature > 0, -_dot(state.gradient, state.ahead) / curvature, 0.0)
        before, squares = state.gradient, _dot(state.gradient, state.steep)
        state.point, state.gradient = _sum(state.point, length, state.ahead), _sum(before, length, bent)
        state.steep = self._precondition(state, state.gradient)
        turned = _dot(state.steep, _sum(state.gradient, -1, before))
        share = torch.where(squares > 0, turned / squares, 0.0).clamp_min(0)
        state.ahead = {n: _wide(share, value) * value - state.steep[n] for n, value in state.ahead.items()}
        state.trial = torch.maximum(length, LEAST / _largest(state.ahead))

    def finish(self, variables: Numbers, state: State) -> None:
        """The points, instead of those on trial."""
        for name, point in state.point.items():
            variables[name].copy_(point)


def _wide(factor: Tensor, like: Tensor) -> Tensor:
    return factor.view(-1, *[1] * (like.dim() - 1))


def _dot(a: Numbers, b: Numbers) -> Float[Tensor, " b"]:
    return torch.stack([(a[name] * b[name]).flatten(1).sum(dim=1) for name in a]).sum(dim=0)


def _sum(a: Mapping[str, Tensor], factor: Tensor | int, b: Numbers) -> Numbers:
    """a + factor · b, with a factor for each image."""
    if isinstance(factor, int):
        return {name: value + factor * b[name] for name, value in a.items()}
    return {name: value + _wide(factor, value) * b[name] for name, value in a.items()}


def _largest(numbers: Numbers) -> Float[Tensor, " b"]:
    return torch.stack([value.flatten(1).abs().amax(dim=1) for value in numbers.values()]).amax(dim=0).clamp_min(1e-30)
