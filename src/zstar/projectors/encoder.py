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
        target: Name of the target that it sees: another one than ``image`` for a network that was trained to make
            images of that.
    """

    def __init__(
        self, problem: Problem, encoder: TrainedEncoder, passes: int | None = None, target: str = "image"
    ) -> None:
        super().__init__(problem)
        require("projector.encoder", Within(1), passes=1 if passes is None else passes)
        self.encoder = encoder.require_compatible(problem.space)
        self.passes, self.target = passes, target

    @property
    def cost(self) -> int:
        return self.encoder.syntheses(self.passes) + self.problem.cost()

    @property
    def reads(self) -> dict[str, str]:
        return {"projector.encoder.target": self.target}

    @torch.no_grad()
    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Encode each image."""
        images = objective.targets.named[self.target]
        began = clock(images.device)
        latents = self.encoder(self.problem.space, images, self.passes)
        v = self.problem.start(objective.targets, latents[-1])
        return better(self.candidate(objective, v, self.encoder.syntheses(self.passes), began), inversion)
