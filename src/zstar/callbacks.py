"""Callbacks of the loop: best so far, running mean, early stops, progress."""

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

    Arguments:
        value: What is to be low ``[b]``, where values of the equation can't be compared from step to step; the value of
            the equation if nothing else is said.

    Attributes:
        total: Lowest value per image ``[b]``; infinite before the first step.
        v: v at that value.
    """

    total: Tensor
    v: dict[str, Tensor]

    def __init__(self, value: Callable[[Step], Tensor] = lambda step: step.terms.total) -> None:
        self.value = value

    def __call__(self, step: Step) -> None:
        """Take over the images that improved."""
        total = self.value(step).nan_to_num(torch.inf, torch.inf, torch.inf)  # not finite is worse than anything
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


class Average:
    """The running mean of each image's v: of all steps at first, then of about the last ``1 / (1 − decay)``.

    Arguments:
        decay: From 0, which is v itself, to 1.

    Attributes:
        v: The mean of v before each of the steps.
    """

    v: dict[str, Tensor]

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, step: Step) -> None:
        """Move towards v of the images that still go on."""
        if step.index == 0:
            self.v = dict(step.v)
            return
        share = max(1 - self.decay, 1 / (step.index + 1))
        names = [name for name, value in self.v.items() if value.is_floating_point()]  # all but places of numbers
        means = torch._foreach_lerp([self.v[name] for name in names], [step.v[name] for name in names], share)
        self.v = choose_all(step.active, step.v | dict(zip(names, means, strict=True)), self.v)


class Steadiest:
    """Keeps for each image the v where its last pictures differ least, and stops it some time after.

    The moving variance of ES-WMV (Wang et al. 2021, https://arxiv.org/abs/2112.06074), which needs no ground truth:
    what pictures are made of is found soon, noise late, and in between the pictures rest. A run shorter than the window
    ends with the mean.

    Arguments:
        window: Pictures that are compared, each as it was evaluated; so many are kept of every image.
        patience: Steps without a lower variance after which an image stops.
        average: What v is kept of a step: the mean of those before, as single steps go to and fro.

    Attributes:
        v: The mean at the lowest variance.
        found: ``[b]``, steps done until then.
    """

    v: dict[str, Tensor]
    found: Tensor

    def __init__(self, window: int, patience: int, average: Average) -> None:
        self.window = window
        self.patience = patience
        self.average = average

    def __call__(self, step: Step) -> None:
        """Compare the last pictures; switch off the images that wait too long."""
        self.average(step)
        total, image = step.terms.total, step.terms.image
        if step.index == 0:
            self._last = image.new_zeros(self.window, *image.shape)
            self._lowest = torch.full_like(total, torch.inf)
            self.found = torch.zeros_like(total, dtype=torch.long)
        self._last[step.index % self.window] = image
        if step.index + 1 < self.window:
            self.v, self.found = self.average.v, torch.full_like(self.found, step.index + 1)
            return
        variance = self._last.var(dim=0, correction=0).flatten(1).mean(dim=1)
        steadier = (variance < self._lowest) & step.active  # never where a picture is not finite
        self._lowest = torch.where(steadier, variance, self._lowest)
        self.found = torch.where(steadier, step.index + 1, self.found)
        self.v = choose_all(steadier, self.average.v, self.v)
        step.active.logical_and_(step.index + 1 - self.found < self.patience)


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
