"""Projection by an inverting network."""

from collections.abc import Sequence

import torch

from zstar.callbacks import Callback
from zstar.config.constraints import Within, require
from zstar.encoders.trained import TrainedEncoder
from zstar.inversion import Inversion, clock
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractProjector, better


class Encoder(AbstractProjector):
    """z = E(x): milliseconds per image. With ``optimization`` behind it, the hybrid method.

    The network is the one that the group ``encoder`` names. It sees the images and not the losses; of two projections
    in a chain, each image keeps the one of the lower value.

    Arguments:
        problem: The equation without its targets.
        encoder: The inverting network.
        passes: How often it is taken, where it looks back at what it has found (ReStyle); null is as in its training.
    """

    def __init__(self, problem: Problem, encoder: TrainedEncoder, passes: int | None = None) -> None:
        super().__init__(problem)
        require("projector.encoder", Within(1), passes=1 if passes is None else passes)
        self.encoder = encoder.require_compatible(problem.space)
        self.passes = passes

    @property
    def cost(self) -> int:
        return self.encoder.syntheses(self.passes) + self.problem.cost()

    @torch.no_grad()
    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Encode each image."""
        images = objective.targets.images
        began = clock(images.device)
        latents = self.encoder(self.problem.space, images, self.passes)
        v = self.problem.start(objective.targets, latents[-1])
        return better(self.candidate(objective, v, self.encoder.syntheses(self.passes), began), inversion)
