"""The protocol of projectors: (images, Inversion | None) → a better Inversion."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from zstar.callbacks import Average, BestSoFar, Callback, Steadiest
from zstar.generators.variables import Group, Variables, choose, choose_all, kinds_of
from zstar.inversion import Inversion, clock, conclude, minimize
from zstar.losses.base import lack
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem

TAKEN = ("v", "image", "loss", "status")  # fields of a result that are not about its cost


class AbstractProjector(ABC):
    """One step of a projection method; a method is an ordered list of them.

    Attributes:
        uses_image: Whether what it finds depends on the image. A start that does not tells nothing about an image and
            is left out of results.
        finds_class: Whether it says of what class an image is, where that is not known.
        frees: Kinds of variables that it adds to v.
        inherits: Kinds of variables that those before it in a chain have added, which what it evaluates costs more by.
        seconds: Wall-clock time that it may spend on an image, of which a batch has as many times as much as it has
            images; ``None`` for as long as it takes.

    Arguments:
        problem: The equation without its targets.
    """

    uses_image: ClassVar[bool] = True
    finds_class: ClassVar[bool] = False

    frees: tuple[str, ...] = ()
    inherits: tuple[str, ...] = ()
    seconds: float | None = None

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @property
    def random(self) -> bool:
        """Whether it draws random numbers, so that another seed may find something else."""
        return False

    @property
    def optimizer_steps(self) -> int:
        """Steps of the optimizer that an image takes on its way, at the most."""
        return 0

    @property
    @abstractmethod
    def cost(self) -> int:
        """Evaluations of the equation that it spends on an image at the most."""

    @property
    def reads(self) -> dict[str, str]:
        """Key of a setting → the target that it names, of all that it reads by itself and not through the losses."""
        return {}

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the targets that are masks of the region which it edits."""
        return ()

    def require_targets(self, names: Collection[str], maps: Collection[str]) -> None:
        """Refuse to begin where a target that it reads is missing.

        Arguments:
            names: The targets that there are.
            maps: Those among them that can weigh or hide pixels.

        Raises:
            ValueError: One sentence with the key.
        """
        for key, name in self.reads.items():
            among = maps if key.endswith(".mask") else names
            if name not in among:
                raise ValueError(lack(key, name, among))

    def scaled(self, share: float) -> "AbstractProjector":
        """The same method with about ``share`` of its iterations, in (0, 1]; one without iterations stays as it is."""
        return self

    def timed(self, seconds: float) -> "AbstractProjector":
        """The same method, which ends after so many seconds per image if it has not ended by itself."""
        limited = copy(self)
        limited.seconds = seconds
        return limited

    @abstractmethod
    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Project the objective's targets, starting from the inversion found so far if there is one."""

    def candidate(self, objective: Objective, v: Variables, spent: int, began: float) -> Inversion:
        """Evaluate a v that was found without the loop; ``spent`` evaluations went into each image."""
        evaluations = torch.full((len(v["latent"]),), spent, device=v["latent"].device)
        return conclude(objective, v, [], evaluations, ["done"] * len(evaluations), began)


class AbstractDescent(AbstractProjector):
    """A projector that runs the loop for a number of steps: how often it synthesises, and how it is made shorter.

    Arguments:
        problem: The equation without its targets; its optimizer takes the steps.
        steps: Optimizer steps.
        keep_best: Return for each image the best v seen instead of the last one, if it is better.
    """

    def __init__(self, problem: Problem, steps: int, keep_best: bool) -> None:
        super().__init__(problem)
        self.steps = steps
        self.keep_best = keep_best

    @property
    def optimizer_steps(self) -> int:
        return self.steps

    @property
    def cost(self) -> int:
        return (self.steps + 1 + (self.keep_best and self.steps > 0)) * self.problem.cost({*self.frees, *self.inherits})

    def scaled(self, share: float) -> "AbstractDescent":
        """Fewer steps, with ramps and exploration at the same fractions of them."""
        fewer = copy(self)
        fewer.steps = min(self.steps, max(1, int(self.steps * share)))
        return fewer

    def descend(
        self,
        objective: Objective,
        v: Variables,
        groups: Sequence[Group],
        callbacks: Sequence[Callback],
        explore: Callable[[float], Mapping[str, Tensor]] | None = None,
        chosen: BestSoFar | Average | Steadiest | None = None,
    ) -> Inversion:
        """Minimise the equation over the groups, within the time that there is.

        With ``keep_best``, ``chosen`` says what is best in the place of the value, and its v is taken whatever value
        it has.
        """
        best = BestSoFar() if chosen is None else chosen
        watchers = [best, *callbacks] if self.keep_best else callbacks
        found = minimize(objective, v, groups, self.steps, explore, watchers, self.seconds)
        if not self.keep_best or not self.steps:
            return found
        # The history may be made under exploration noise, so the best v is evaluated again, without it, before it wins.
        again = self.candidate(objective, best.v, 0, clock(found.latent.device))
        # An image that ended without a finite value has stopped at its best v, unless that has none either.
        pairs = zip(found.status, again.status, strict=True)
        stopped = [new if new == "diverged" else "stopped" if old == "diverged" else old for old, new in pairs]
        again = replace(again, status=stopped)
        found = replace(found, evaluations=found.evaluations + self.problem.cost(kinds_of(found.v)))
        taken = winners(again, found) if chosen is None else {name: getattr(again, name) for name in TAKEN}
        return replace(found, **taken)


def better(new: Inversion, old: Inversion | None) -> Inversion:
    """Image by image the one with the lower value of the equation; what both cost is added up."""
    return new if old is None else replace(new.after(old), **winners(new, old))


def winners(new: Inversion, old: Inversion) -> dict[str, Any]:
    """The result fields of two inversions of the same images, each image from the one with the lower value."""
    wins = (new.loss < old.loss) | ~old.loss.isfinite()  # an infinite or undefined value never wins
    pairs = zip(wins.tolist(), new.status, old.status, strict=True)
    return {
        "v": choose_all(wins, new.v, old.v),
        "image": choose(wins, new.image, old.image),
        "loss": torch.where(wins, new.loss, old.loss),
        "status": [mine if won else theirs for won, mine, theirs in pairs],
    }


def project(
    problem: Problem, projectors: Sequence[AbstractProjector], targets: Targets, callbacks: Sequence[Callback] = ()
) -> Inversion:
    """x → project → z: run the list of projectors, each on what the one before it found."""
    return project_with_start(problem, projectors, targets, callbacks)[0]


def project_with_start(
    problem: Problem, projectors: Sequence[AbstractProjector], targets: Targets, callbacks: Sequence[Callback] = ()
) -> tuple[Inversion, Inversion | None]:
    """What :func:`project` finds, and what the last projector started from.

    The start is ``None`` where no projector had looked at the images before the last one: it is the same for all of
    them, or random. The cost and the history of the start are part of the result's.
    """
    if not projectors:
        raise ValueError("projector: the list is empty; choose e.g. projector=[mean,optimization]")
    objective = Objective(problem, targets)
    *first, last = projectors
    start: Inversion | None = None
    for projector in first:
        start = projector(objective, start, callbacks)
    found = last(objective, start, callbacks)
    return found, start if any(projector.uses_image for projector in first) else None
