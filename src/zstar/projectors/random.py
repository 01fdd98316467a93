"""A draw from the prior as a projection."""

from collections.abc import Sequence

import torch

from zstar.inversion import Callback, Inversion, clock
from zstar.objective import Objective
from zstar.projectors.base import AbstractProjector, better


class Random(AbstractProjector):
    """Gives each image one latent drawn from the prior, from the image's own seed.

    As a start it shows how much a method depends on where it begins (vary ``seed``); alone it is the lowest baseline.
    """

    uses_image = False

    @property
    def random(self) -> bool:
        return True

    @property
    def cost(self) -> int:
        return self.problem.cost

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """One prior draw for each image."""
        device = objective.targets.images.device
        began = clock(device)
        rngs = self.problem.rngs(objective.targets.ids, "start")
        latent = torch.cat([self.problem.space.sample(1, rng) for rng in rngs]).to(device)
        v = self.problem.start(objective.targets, self.problem.space.constrain(latent))
        return better(self.candidate(objective, v, 0, began), inversion)
