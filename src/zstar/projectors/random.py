"""A draw from the prior as a projection."""

from collections.abc import Sequence

import torch

from zstar.callbacks import Callback
from zstar.inversion import Inversion, clock
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
        return self.problem.cost()

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """One prior draw for each image."""
        device = objective.targets.images.device
        began = clock(device)
        problem, targets = self.problem, objective.targets
        rngs, generator, latents = problem.rngs(targets.ids, "start"), problem.generator, []
        for row, rng in enumerate(rngs):
            with generator.conditioned(None if targets.classes is None else targets.classes[row : row + 1]):
                latents.append(problem.space.sample(1, rng))
        v = problem.start(targets, problem.space.constrain(torch.cat(latents).to(device)))
        if problem.space.needs_class and targets.classes is None:
            v["class"] = torch.cat([generator.draw_classes(1, rng) for rng in rngs]).to(device)
        return better(self.candidate(objective, v, 0, began), inversion)
