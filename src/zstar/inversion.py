"""The Inversion result type, and the one loop that solves the equation."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from zstar.checkpoints.io import load_weights, read_card, save_weights
from zstar.generators.base import AbstractGenerator
from zstar.objective import Objective, Terms
from zstar.regularizers.noise_maps import normalize_noise_


@dataclass
class Inversion:
    """Images projected into a generator: what was found, how it looks, and what it cost.

    Attributes:
        ids: Name of each image.
        space: Name of the space that the latents live in.
        latent: Latents ``[b, ...]``.
        noise: Optimised noise maps ``[b, 1, h, w]`` by name; empty where the noise was fixed.
        noise_mode: ``"const"``, ``"none"``, or ``"optimize"``: how G is to be called to get the same image.
        image: G(latent), ``[b, c, h, w]``, not clamped; ``None`` for one read from a run's ``latents.safetensors``,
            which leaves pictures to :meth:`render`.
        loss: Value of the equation at the result, ``[b]``.
        history: Name of each term → its weighted value before each step and at the end, ``[b, t]``; NaN where an image
            had stopped already, or where a projector of the chain did not have the term.
        evaluations: Evaluations of the equation spent on each image, ``[b]``.
        seconds: Wall-clock time of the batch over its size, ``[b]``.
        status: ``"done"``, ``"stopped"`` (no progress) or ``"diverged"`` for each image.
    """

    ids: list[str]
    space: str
    latent: Float[Tensor, "b ..."]
    image: Float[Tensor, "b c h w"] | None
    loss: Float[Tensor, " b"]
    evaluations: Tensor
    seconds: Float[Tensor, " b"]
    status: list[str]
    noise: dict[str, Tensor] = field(default_factory=dict)
    noise_mode: str = "const"
    history: dict[str, Tensor] = field(default_factory=dict)

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
        """G(latent) with the noise that belongs to it: the same image bit for bit, for the same images in a batch."""
        return generator.synthesize(self.latent, self.space, self.noise or self.noise_mode)

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors of its file and the card beside it."""
        tensors = {"latent": self.latent, "loss": self.loss}
        tensors |= {} if self.image is None else {"image": self.image}
        tensors |= {"evaluations": self.evaluations, "seconds": self.seconds}
        tensors |= {f"noise/{name}": value for name, value in self.noise.items()}
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
        noise = {name.removeprefix("noise/"): value for name, value in tensors.items() if name.startswith("noise/")}
        past = {name.removeprefix("history/"): value for name, value in tensors.items() if name.startswith("history/")}
        plain = {"image": None} | {name: value for name, value in tensors.items() if "/" not in name}
        return Inversion(
            ids=card["ids"], space=card["space"], status=card["status"], noise_mode=card["noise_mode"],
            noise=noise, history=past, **plain,
        )  # fmt: skip


@dataclass
class Step:
    """What a callback sees after each step of the loop, and may change.

    Attributes:
        index: Steps done before this one, from 0.
        steps: Steps asked for.
        terms: The terms at the latents before the step.
        latent: Latents ``[b, ...]`` before the step, as evaluated but without exploration noise.
        noise: Noise maps before the step.
        active: ``[b]``, which images are still being optimised; a callback may switch images off in place.
    """

    index: int
    steps: int
    terms: Terms
    latent: Float[Tensor, "b ..."]
    noise: dict[str, Tensor]
    active: Bool[Tensor, " b"]


Callback = Callable[[Step], None]


def minimize(
    objective: Objective,
    latent: Float[Tensor, "b ..."],
    noise: dict[str, Tensor],
    steps: int,
    explore: Callable[[float], Tensor] | None = None,
    callbacks: Sequence[Callback] = (),
    seconds: float | None = None,
) -> Inversion:
    """Solve the equation for a batch of images, each exactly as if it were alone.

    Arguments:
        objective: The equation and its targets.
        latent: Start ``[b, ...]`` in the problem's space.
        noise: Start of the noise maps; empty where they are fixed.
        steps: Number of optimizer steps.
        explore: Fraction done → exploration noise ``[b, ...]`` added to the latent for that step's evaluation.
        callbacks: Called once per step with a :class:`Step`.
        seconds: Wall-clock time per image, after which the loop ends if its steps are not done before. The fraction of
            the run is that of the steps or that of the time, whichever is larger, so that schedules come to their end.

    Returns:
        The inversion at the latents after the last step, with the history of every term.
    """
    problem, began = objective.problem, clock(latent.device)
    names = list(noise)
    variables = [latent.detach().clone(), *(noise[name].detach().clone() for name in names)]
    state = problem.optimizer.start(variables)
    active = torch.ones(len(latent), dtype=torch.bool, device=latent.device)
    evaluations = torch.zeros(len(latent), dtype=torch.long, device=latent.device)
    history: list[dict[str, Tensor]] = []
    allowed = (seconds or 0.0) * len(latent)

    for index in range(steps):
        fraction = index / steps
        if seconds is not None and index:  # a first step there is in any case
            fraction = max(fraction, (clock(latent.device) - began) / allowed)
        if fraction >= 1:
            break
        before = [v.clone() for v in variables]
        shift = explore(fraction) if explore else 0.0
        first: list[Terms] = []

        def evaluate(v: list[Tensor], shift: Tensor | float = shift, first: list[Terms] = first) -> Tensor:
            terms = objective(v[0] + shift, dict(zip(names, v[1:], strict=True)))
            first.append(terms.detach())  # the first evaluation of a step is at the variables as they came in
            return terms.total

        _, spent = problem.optimizer.step(variables, state, evaluate, fraction)
        variables[0].copy_(problem.space.constrain(variables[0]))
        if names:
            normalize_noise_(variables[1:])
        evaluations += spent * active
        values = {"total": first[0].total, **first[0].terms}
        history.append({name: value.where(active, torch.nan) for name, value in values.items()})
        active &= first[0].total.isfinite()
        for callback in callbacks:
            callback(Step(index, steps, first[0], before[0], dict(zip(names, before[1:], strict=True)), active))
        for variable, old in zip(variables, before, strict=True):
            # An image that has stopped keeps its v, whatever the optimizer did to the rest of the batch.
            variable.copy_(choose(active, variable, old))
        if index % 10 == 9 and not active.any():  # every tenth step only: reading the flag waits for the device
            break
    found = dict(zip(names, variables[1:], strict=True))
    status = ["done" if on else "stopped" for on in active.tolist()]
    return conclude(objective, variables[0], found, history, evaluations, status, began)


@torch.no_grad()
def conclude(
    objective: Objective,
    latent: Float[Tensor, "b ..."],
    noise: dict[str, Tensor],
    history: list[dict[str, Tensor]],
    evaluations: Tensor,
    status: list[str],
    began: float,
) -> Inversion:
    """Evaluate the equation at its result and wrap it up as an :class:`Inversion`."""
    problem, terms = objective.problem, objective(latent, noise)
    columns = [*history, {"total": terms.total, **terms.terms}]
    finite = terms.total.isfinite().tolist()
    seconds = (clock(latent.device) - began) / len(latent)
    return Inversion(
        ids=objective.targets.ids,
        space=problem.space.name,
        latent=latent,
        image=terms.image,
        loss=terms.total,
        evaluations=evaluations + 1,
        seconds=torch.full((len(latent),), seconds),
        status=[s if fine else "diverged" for s, fine in zip(status, finite, strict=True)],
        noise=noise,
        noise_mode=problem.noise,
        history={name: torch.stack([column[name] for column in columns], dim=1) for name in columns[0]},
    )


def choose(condition: Bool[Tensor, " b"], yes: Float[Tensor, "b ..."], no: Float[Tensor, "b ..."]) -> Tensor:
    """``yes`` for the images whose condition holds, ``no`` for the others."""
    return torch.where(condition.view(-1, *[1] * (yes.dim() - 1)), yes, no)


def clock(device: torch.device) -> float:
    """Seconds of wall-clock time, after all work queued on ``device`` is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
