"""Callbacks of the loop: best so far, early stop, progress."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from zstar.generators.variables import choose_all
from zstar.objective import Terms


@dataclass
class Step:
    """State of the loop after a step, for callbacks to read and change.

    Attributes:
        index: Steps done before this one, from 0.
        steps: Steps asked for.
        terms: The terms at v before the step.
        v: v before the step, as evaluated but without exploration noise.
        active: ``[b]``, which images are still being optimised; a callback may switch images off in place.
    """

    index: int
    steps: int
    terms: Terms
    v: dict[str, Tensor]
    active: Bool[Tensor, " b"]


Callback = Callable[[Step], None]


class BestSoFar:
    """Remembers, for each image by itself, the v with the lowest value seen.

    Attributes:
        total: Lowest value per image ``[b]``; infinite before the first step.
        v: v at that value.
    """

    total: Tensor
    v: dict[str, Tensor]

    def __call__(self, step: Step) -> None:
        """Take over the images that improved."""
        total = step.terms.total.nan_to_num(
            torch.inf, torch.inf, torch.inf
        )  # what is not finite is worse than anything
        if step.index == 0:
            self.total, self.v = total, dict(step.v)
            return
        better = total < self.total
        self.total = torch.where(better, total, self.total)
        self.v = choose_all(better, step.v, self.v)


class EarlyStop:
    """Stops each image by itself once it has made no progress for a while.

    Arguments:
        patience: Steps without progress after which an image stops.
        min_delta: Progress is a value below ``(1 − min_delta)`` times the last one that counted as progress.
    """

    def __init__(self, patience: int, min_delta: float = 1e-3) -> None:
        self.patience = patience
        self.min_delta = min_delta

    def __call__(self, step: Step) -> None:
        """Switch off the images that wait too long."""
        total = step.terms.total
        if step.index == 0:
            self._reference = torch.full_like(total, float("inf"))
            self._waited = torch.zeros_like(total)
        progress = total < self._reference * (1 - self.min_delta)
        self._reference = torch.where(progress, total, self._reference)
        self._waited = torch.where(progress, torch.zeros_like(total), self._waited + 1)
        step.active.logical_and_(self._waited < self.patience)


class Reached:
    """Stops each image by itself once its value is as low as was asked for.

    Arguments:
        value: Of the equation.
    """

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, step: Step) -> None:
        """Switch off the images that are there."""
        step.active.logical_and_(~(step.terms.total <= self.value))


class Progress:
    """Reports the mean value of the batch now and then; a report waits for the device, hence not every step.

    Arguments:
        report: Called with (steps done, steps asked for, mean value of the equation).
        every: Steps between two reports.
    """

    def __init__(self, report: Callable[[int, int, float], None], every: int = 10) -> None:
        self.report = report
        self.every = every

    def __call__(self, step: Step) -> None:
        """Report every few steps and at the last one."""
        if step.index % self.every == 0 or step.index == step.steps - 1:
            self.report(step.index + 1, step.steps, step.terms.total.mean().item())
