"""The Inversion result type, and the one loop that solves the equation."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.callbacks import Callback, Step
from zstar.checkpoints.io import load_weights, read_card, save_weights
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Group, Variables, is_variable, kinds_of
from zstar.objective import Objective, Terms


@dataclass
class Inversion:
    """Images projected into a generator: what was found, how it looks, and what it cost.

    Attributes:
        ids: Name of each image.
        space: Name of the space that the latents live in.
        v: What was found, by name (:data:`zstar.generators.variables.Variables`): ``latent`` [b, ...], and noise maps,
            changes of weights and of features where these were free.
        image: G(v), ``[b, c, h, w]``, not clamped; ``None`` for one read from a run's ``latents.safetensors``, which
            leaves pictures to :meth:`render`.
        loss: Value of the equation at the result, ``[b]``.
        evaluations: Evaluations of the equation spent on each image, ``[b]``, and what else was synthesised for it.
        seconds: Wall-clock time of the batch over its size, ``[b]``.
        status: ``"done"``, ``"stopped"`` (no progress, or no finite value to go on from) or ``"diverged"`` (what is
            returned has no finite value) for each image.
        noise_mode: ``"const"``, ``"none"``, or ``"optimize"``: how G is to be called to get the same image.
        history: Name of each term → its weighted value before each step and at the end, ``[b, t]``; NaN where an image
            had stopped already or a projector of the chain lacks the term, infinite for a trial without a value.
    """

    ids: list[str]
    space: str
    v: dict[str, Tensor]
    image: Float[Tensor, "b c h w"] | None
    loss: Float[Tensor, " b"]
    evaluations: Tensor
    seconds: Float[Tensor, " b"]
    status: list[str]
    noise_mode: str = "const"
    history: dict[str, Tensor] = field(default_factory=dict)

    @property
    def latent(self) -> Float[Tensor, "b ..."]:
        """The latents."""
        return self.v["latent"]

    def after(self, previous: "Inversion | None") -> "Inversion":
        """This result with the cost and the history of the one that it started from put in front of its own."""
        if previous is None:
            return self
        names = {**previous.history, **self.history}
        gap = torch.full((len(self.ids), 1), float("nan"), device=self.latent.device)

        def past(of: Inversion, name: str) -> Tensor:
            length = of.history["total"].shape[1]
            return of.history.get(name, gap.expand(-1, length))

        return replace(
            self,
            evaluations=self.evaluations + previous.evaluations,
            seconds=self.seconds + previous.seconds,
            history={name: torch.cat([past(previous, name), past(self, name)], dim=1) for name in names},
        )

    @torch.no_grad()
    def render(self, generator: AbstractGenerator) -> Float[Tensor, "b c h w"]:
        """G(v), where the generator is: the same images bit for bit, for the same images in a batch."""
        v = {name: generator.bring(value) for name, value in self.v.items()}
        return generator.render(v, self.space, self.noise_mode)

    def select(self, rows: Sequence[int], device: torch.device | None = None) -> "Inversion":
        """Some of the images, in the order of ``rows``, with their v on ``device``."""
        rows, index = list(rows), torch.tensor(list(rows), dtype=torch.long)
        places = {place: index.to(place) for place in (index.device, self.latent.device)}

        def chosen(value: Tensor) -> Tensor:
            return value.index_select(0, places[value.device])

        numbers = {name: getattr(self, name) for name in ("loss", "evaluations", "seconds")}
        return replace(
            self,
            ids=[self.ids[row] for row in rows],
            status=[self.status[row] for row in rows],
            v={name: chosen(value).to(device or value.device) for name, value in self.v.items()},
            image=None if self.image is None else chosen(self.image),
            history={name: chosen(values) for name, values in self.history.items()},
            **{name: chosen(value) for name, value in numbers.items()},
        )

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors of its file and the card beside it."""
        tensors = {**self.v, "loss": self.loss}
        tensors |= {} if self.image is None else {"image": self.image}
        tensors |= {"evaluations": self.evaluations, "seconds": self.seconds}
        tensors |= {f"history/{name}": value for name, value in self.history.items()}
        card = {"kind": "inversion", "ids": self.ids, "space": self.space, "status": self.status}
        return tensors, {**card, "noise_mode": self.noise_mode}

    def save(self, path: str | Path) -> None:
        """Write ``path`` (safetensors) and a JSON card beside it; never a pickle."""
        save_weights(path, *self.pack())

    @staticmethod
    def load(path: str | Path) -> "Inversion":
        """Read what :meth:`save` wrote, or the ``latents.safetensors`` of a run."""
        tensors, card = load_weights(path), read_card(path)
        if card.get("kind") != "inversion":
            raise ValueError(f"{path}: not a saved inversion; give a latents.safetensors that invert.py wrote")
        v = {name: value for name, value in tensors.items() if is_variable(name)}
        past = {name.removeprefix("history/"): value for name, value in tensors.items() if name.startswith("history/")}
        plain = {"image": None} | {name: value for name, value in tensors.items() if name not in v and "/" not in name}
        try:
            said = {key: card[key] for key in ("ids", "space", "status", "noise_mode")}
            return Inversion(**said, v=v, history=past, **plain)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path}: its card or its latents lack something ({error}); project again") from None


def minimize(
    objective: Objective,
    v: Variables,
    groups: Sequence[Group],
    steps: int,
    explore: Callable[[float], Mapping[str, Tensor]] | None = None,
    callbacks: Sequence[Callback] = (),
    seconds: float | None = None,
) -> Inversion:
    """Solve the equation for a batch of images, each exactly as if it were alone.

    Arguments:
        objective: The equation and its targets.
        v: Start.
        groups: Which variables of v are free, within their constraints from the start; all others stay as they are.
        steps: Number of optimizer steps.
        explore: Fraction done → exploration noise by name of the variable that it is added to for that step's
            evaluation.
        callbacks: Called once per step with a :class:`Step`.
        seconds: Wall-clock time per image, after which the loop ends if its steps are not done before; a GPU may be
            steps behind the clock, ten at the most. The fraction of the run is that of the steps or that of the time,
            whichever is larger, so that schedules come to their end.

    Returns:
        The inversion at the point that the optimizer ends at, with the history of every term.
    """
    problem, device, count = objective.problem, v["latent"].device, len(v["latent"])
    began, allowed = clock(device), (seconds or 0.0) * count
    free = {name: v[name].detach().clone() for group in groups for name in group.names}
    fixed = {name: value for name, value in v.items() if name not in free}
    for group in groups if steps else ():
        group.constrain_(free)
    rates = {name: group.rate for group in groups for name in group.names if group.rate is not None}
    state, cost = problem.optimizer.start(free, rates), problem.cost(kinds_of(v))
    active = torch.ones(count, dtype=torch.bool, device=device)
    evaluations = torch.zeros(count, dtype=torch.long, device=device)
    history: list[dict[str, Tensor]] = []

    for index in range(steps):
        fraction = index / steps
        if seconds is not None and index:  # a first step there is in any case
            fraction = max(fraction, (clock(device, wait=False) - began) / allowed)
        if fraction >= 1:
            break
        before = dict(zip(free, torch._foreach_mul(list(free.values()), 1), strict=True))  # copies, in one kernel
        shifts = explore(fraction) if explore else {}
        first: list[Terms] = []

        def evaluate(point: Variables, shifts: Variables = shifts, first: list[Terms] = first) -> Tensor:
            there = {**fixed, **point}
            terms = objective({**there, **{name: there[name] + shift for name, shift in shifts.items()}})
            first.append(terms.detach())  # the first evaluation of a step is at the variables as they came in
            return terms.total

        step = partial(problem.optimizer.step, free, state, evaluate, fraction)
        _, spent = objective.problem.slices.retried(count, step, objective.graphs)
        for group in groups:
            group.constrain_(free)
        evaluations += spent * active * cost
        values = {"total": first[0].total, **first[0].terms}.items()
        history.append({n: x.where(~x.isnan(), torch.inf).where(active, torch.nan) for n, x in values})
        if not problem.optimizer.recovers:
            active &= first[0].total.isfinite()
        for callback in callbacks:
            callback(Step(index, steps, first[0], {**fixed, **before}, active))
        for name, value in free.items():
            # An image that has stopped keeps its v, whatever the optimizer did to the rest of the batch.
            torch.where(active.view(-1, *[1] * (value.dim() - 1)), value, before[name], out=value)
        if index % 10 == 9 and not active.any():  # every tenth step only: reading the flag waits for the device
            break
    if history:
        problem.optimizer.finish(free, state)
    status = ["done" if on else "stopped" for on in active.tolist()]
    return conclude(objective, {n: free.get(n, value) for n, value in v.items()}, history, evaluations, status, began)


@torch.no_grad()
def conclude(
    objective: Objective,
    v: Variables,
    history: list[dict[str, Tensor]],
    evaluations: Tensor,
    status: list[str],
    began: float,
) -> Inversion:
    """Evaluate the equation at its result and wrap it up as an :class:`Inversion`."""
    problem, terms, count = objective.problem, objective(v), len(v["latent"])
    columns = [*history, {"total": terms.total, **terms.terms}]
    finite = terms.total.isfinite().tolist()
    seconds = (clock(v["latent"].device) - began) / count
    return Inversion(
        ids=objective.targets.ids,
        space=problem.space.name,
        v=dict(v),
        image=terms.image,
        loss=terms.total,
        evaluations=evaluations + problem.cost(kinds_of(v)),
        seconds=torch.full((count,), seconds),
        status=[s if fine else "diverged" for s, fine in zip(status, finite, strict=True)],
        noise_mode=problem.noise,
        history={name: torch.stack([column[name] for column in columns], dim=1) for name in columns[0]},
    )


def clock(device: torch.device, wait: bool = True) -> float:
    """Seconds of wall-clock time, after all work queued on ``device`` is done if it is to be waited for."""
    if wait and device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
