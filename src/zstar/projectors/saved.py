"""Latents of a finished run as a projection."""

from collections.abc import Sequence
from dataclasses import replace

from zstar.callbacks import Callback
from zstar.checkpoints.io import read_card
from zstar.config.constraints import RunPath
from zstar.generators.variables import drawn, kinds_of, named
from zstar.inversion import Inversion, clock
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractProjector, better
from zstar.runs.latents import latents_file

KEY = "inversion"


class Saved(AbstractProjector):
    """Gives each image the latent that a run of ``invert.py`` has found for it, by its name.

    The start of whatever goes on from there: strokes on a projected photo, or a longer optimisation. Latents of a
    poorer space are lifted to that of the problem, with nothing added yet to a map that is part of it; noise maps and
    changes of weights and features come along. The latent is remembered as ``origin``, so that the regularizer
    ``origin_norm`` holds to it.

    Arguments:
        problem: The equation without its targets.
        run: The folder of the run, or its ``latents.safetensors``.

    Raises:
        ValueError: There is no such run, or it is of another generator, space or kind of noise; one sentence.
    """

    finds_class = True

    def __init__(self, problem: Problem, run: RunPath | None = None) -> None:
        super().__init__(problem)
        if run is None:
            raise ValueError("inversion: saved begins with the latents of a run; set inversion=<its folder>")
        self.file = latents_file(run, KEY)
        card, generator = read_card(self.file), problem.generator
        if card.get("generator", generator.fingerprint()) != generator.fingerprint():
            raise ValueError(f"inversion: {run} is of another generator; choose that one, or another run")
        self.inversion = Inversion.load(self.file)
        self.frees = tuple(sorted(kinds_of(self.inversion.v)))
        if self.inversion.noise_mode != problem.noise:
            here = f"made with noise={self.inversion.noise_mode}"
            raise ValueError(f"inversion: {run} was {here}, and here noise={problem.noise}; set it to the same")
        self.rows = {name: row for row, name in enumerate(self.inversion.ids)}
        self._require_way(run)

    def _require_way(self, run: str) -> None:
        own, target, order = self.inversion.space, self.problem.space.name, list(self.problem.generator.spaces)
        ways = order[order.index(own) :] if own in order else []
        if own != target and target not in ways:
            raise ValueError(f"inversion: {run} is in {own}, which can't be brought to {target}; choose space={own}")

    @property
    def cost(self) -> int:
        return self.problem.cost(self.frees)

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """The latents of the run, evaluated."""
        device, targets = objective.targets.images.device, objective.targets
        began = clock(device)
        own = self.inversion.select([self.rows[name] for name in targets.ids], device)
        v = drawn(own.v)
        if own.space != self.problem.space.name:
            with self.problem.generator.conditioned(v.get("class")):
                lifted = self.problem.generator.lift(v["latent"], own.space, self.problem.space.name)
            v["latent"] = lifted.contiguous()  # one row in memory may be all of them
            v.pop("class", None)  # which the latent says now
        maps = {name: v["latent"].new_zeros(len(v["latent"]), *size) for name, size in self.problem.space.maps.items()}
        v = {**named("features", maps), **v, "origin": v["latent"]}
        found = self.candidate(objective, v, 0, began)
        if inversion is None:
            return found
        return better(found, replace(inversion, v={**inversion.v, "origin": v["origin"]}))
