"""Random directions: the baseline of every comparison."""

from typing import Literal

import torch

from zstar.config.constraints import Within, require
from zstar.directions.base import AbstractFinder, Label
from zstar.directions.linear import Linear, in_units_of_prior
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import stream


class Random(AbstractFinder):
    """Random directions, the baseline of every comparison: ``random_0``, ``random_1``, …

    α = 1 is one standard deviation of the prior along the vector.

    Arguments:
        count: Number of directions.
        kind: ``prior`` takes the difference of two samples, so they point where the prior has its variance; in w and
            richer spaces that is the harder baseline. ``isotropic`` draws every direction with equal probability, and
            each row of w_plus by itself.
        seed: Other seeds, other directions.
    """

    def __init__(self, count: int = 5, kind: Literal["prior", "isotropic"] = "prior", seed: int = 0) -> None:
        require("direction.random", Within(1), count=count)
        if kind not in ("prior", "isotropic"):
            raise ValueError(f"direction.random.kind: '{kind}' is unknown; choose prior or isotropic")
        self.count, self.kind, self.seed = count, kind, seed
        self.candidates = [f"random_{index}" for index in range(count)]

    def find(self, space: AbstractSpace) -> dict[str, Linear]:
        rng = stream("random directions", self.seed)
        settings = {"method": "random", "kind": self.kind, "seed": self.seed}
        directions = {}
        for index in range(self.count):
            if self.kind == "prior":
                one, other = space.sample(2, rng).cpu()
                vector = one - other
            else:
                vector = torch.randn(space.shape, generator=rng)
            label = Label(meaning="nothing in particular", found=settings)
            directions[f"random_{index}"] = Linear(space.name, in_units_of_prior(space, vector), label)
        return directions
