"""Projection that fits the generator itself to the image."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from zstar.callbacks import Callback, EarlyStop, Reached
from zstar.config.constraints import Within, require
from zstar.config.reasons import Unfit
from zstar.config.signatures import annotations
from zstar.generators.changes import largest_rank, rounded, thinned
from zstar.generators.parameters import Kind
from zstar.inversion import Inversion, clock
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractProjector
from zstar.projectors.weight_stage import OWN, WeightStage, make_stage, require_settings

KEY = "projector.weights"
DENSE = 2 / 3  # of the steps with ``share``: those in which all numbers are free


class Weights(AbstractProjector):
    """θ* = argmin L(G(z; θ), x) + R(θ), from where the chain stands: each image gets a change of G's weights.

    The choice where no latent has what makes a photo itself: ``projector=[mean,optimization,weights]`` in w is pivotal
    tuning (PTI, Roich et al. 2022, https://arxiv.org/abs/2106.05744), which keeps a latent that can be edited and lets
    θ give what it lacks. What holds θ back is the number of steps, and the regularizers of weights: ``weight_norm``,
    ``feature_drift``, ``locality``, ``weight_rank``. The generator stays as it is; the change is part of the result and
    is kept with it: in full as many numbers for an image as the chosen parameters have.

    Arguments:
        problem: The equation without its targets; its optimizer takes the steps.
        steps: Optimizer steps.
        lr: Step size of the weights.
        latent_lr: Step size of the latent, which then goes on as well; null keeps it.
        layers, resolutions, kinds, depth: Which parameters are free, of those that images of the space depend on: by
            parts of their names such as ``b32`` or ``network.3``, by the sizes of their maps, by kind (``convolution``,
            ``affine``, ``torgb``, ``linear``, ``bias``), by the first and last share of the layers from the latent on;
            null for all.
        rank: A change is a product of two matrices of this rank, where these have fewer numbers than the parameter;
            null changes parameters in full.
        share: Keep only this share of each parameter's numbers, those that have changed most, and go on with them alone
            for the last third of the steps; null keeps all.
        half: Keep the change in half precision; the result is the picture of what is kept.
        stages: One after the other in place of one run: mappings with ``steps``, ``lr``, ``latent_lr``, ``layers``,
            ``resolutions``, ``kinds`` or ``depth`` of their own, e.g. to free layer after layer as DGP does.
        patience: Stop an image after so many steps without progress; null never does.
        min_delta: Relative decrease of the value that counts as progress.
        until: Stop an image once the value of the equation is as low; null never does.
        keep_best: Return for each image the best v seen instead of the last one, if it is better.
    """

    frees = WeightStage.frees

    def __init__(
        self,
        problem: Problem,
        steps: int = 100,
        lr: float = 1e-3,
        latent_lr: float | None = None,
        layers: Sequence[str] | None = None,
        resolutions: Sequence[int] | None = None,
        kinds: Sequence[Kind] | None = None,
        depth: Sequence[float] | None = None,
        rank: int | None = None,
        share: float | None = None,
        half: bool = False,
        stages: Sequence[Mapping[str, Any]] = (),
        patience: int | None = None,
        min_delta: float = 1e-3,
        until: float | None = None,
        keep_best: bool = True,
    ) -> None:
        super().__init__(problem)
        if next(problem.generator.parameters(), None) is None:
            name = type(problem.generator).__name__
            raise Unfit(f"{KEY}: {name} has no weights to fit; remove weights from projector")
        require(KEY, Within(0, 1), min_delta=min_delta)
        require(KEY, Within(1), patience=1 if patience is None else patience)
        require(KEY, Within(0, 1, above=True), share=1 if share is None else share)
        if rank is not None and share is not None:
            raise ValueError(f"{KEY}.share: a product of matrices has no numbers to leave out; set it or rank to null")
        self.share, self.half = share, half
        for place, stage in enumerate(stages):
            require_settings(f"{KEY}.stages.{place}", stage, annotations(Weights))
        settings = dict(zip(OWN, (steps, lr, latent_lr, layers, resolutions, kinds, depth), strict=True))
        nodes = {f"{KEY}.stages.{i}": dict(stage) for i, stage in enumerate(stages)} or {KEY: {}}
        stops: list[Callback] = [] if patience is None else [EarlyStop(patience, min_delta)]
        stops += [] if until is None else [Reached(until)]
        self.stages = [make_stage(problem, key, settings | node, rank, keep_best, stops) for key, node in nodes.items()]
        most = max(largest_rank(stage.parameters) for stage in self.stages)
        if rank is not None and not 1 <= rank <= most:
            range_ = f"1 to {most}, where it makes a change fewer numbers, or null" if most else "null"
            raise ValueError(f"{KEY}.rank: {rank} makes no change of the chosen weights smaller; set it to {range_}")
        if share is not None:
            self.stages[-1:] = self.stages[-1].split(DENSE)

    @property
    def optimizer_steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    @property
    def cost(self) -> int:
        return sum(stage.cost for stage in self.stages) + self.half * self.problem.cost(self.frees)

    def scaled(self, share: float) -> "Weights":
        """Fewer steps in each stage."""
        return self._with([stage.scaled(share) for stage in self.stages])

    def timed(self, seconds: float) -> "Weights":
        """As long for each stage as it has steps."""
        steps = self.optimizer_steps or 1
        return self._with([stage.timed(seconds * stage.steps / steps) for stage in self.stages])

    def _with(self, stages: list[WeightStage]) -> "Weights":
        other = copy(self)
        other.stages = stages
        return other

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Fit the weights to each image by itself."""
        for place, stage in enumerate(self.stages):
            if self.share is not None and place == len(self.stages) - 1:
                inversion = replace(inversion, v=thinned(inversion.v, self.share))
            inversion = stage(objective, inversion, callbacks)
        if not self.half:
            return inversion
        kept = self.candidate(objective, rounded(inversion.v), 0, clock(inversion.latent.device))
        return replace(kept, status=inversion.status).after(inversion)
