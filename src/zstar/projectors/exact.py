"""Projection by the generator's own inverse."""

from collections.abc import Sequence

import torch

from zstar.callbacks import Callback
from zstar.generators.invertible import require_invertible
from zstar.inversion import Inversion, clock
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractProjector, better


class Exact(AbstractProjector):
    """z = G⁻¹(x): the one latent of an image, of a flow (``generator=glow``, ``realnvp``); its error is rounding.

    It sees the images and not the losses, and of two projections in a chain, each image keeps the one of the lower
    value. Where operators stand between image and losses, it is the latent of what they have left of the image.

    Arguments:
        problem: The equation without its targets.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        otherwise = "generator=glow or realnvp, or another projector, such as projector=[mean,optimization]"
        self.flow = require_invertible(problem.generator, "projector.exact", otherwise)

    @property
    def cost(self) -> int:
        return self.problem.cost()

    @torch.no_grad()
    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Invert each image; as with encoders, that is no evaluation of the equation."""
        images, space, generator = objective.targets.images, self.problem.space, self.problem.generator
        began = clock(images.device)
        latent = generator.lift(self.flow.invert(images), next(iter(generator.spaces)), space.name)
        v = self.problem.start(objective.targets, space.constrain(latent))
        return better(self.candidate(objective, v, 0, began), inversion)
