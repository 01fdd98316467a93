"""The best of many prior draws as a projection."""

import math
from collections.abc import Sequence
from copy import copy

import torch
from torch import Tensor

from zstar.callbacks import Callback
from zstar.config.constraints import Within, require
from zstar.inversion import Inversion, clock
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractProjector, better
from zstar.projectors.comparison import compare, first_maps
from zstar.stats.streams import stream


class BestOf(AbstractProjector):
    """Compares each image with ``candidates`` draws from the prior and takes the one of the lowest value.

    A start for optimisation that escapes poor basins (DGP starts from the best of 500, Pan et al., 2020,
    https://arxiv.org/abs/2003.13659). All images share the draws, which depend on the seed alone: each candidate is
    synthesized once for a whole batch, and an image gets what it would get alone. Where each image has a class of its
    own, it is compared with draws of that, and the candidates are synthesized for each class; where that is not known,
    each candidate has a class, one after the other, and the best one says which it is.

    Arguments:
        problem: The equation without its targets.
        candidates: Number of draws.
        truncation: Truncation of the draws towards the mean, 1 for none.
        chunk: Candidates that are compared at once; bounds the memory.
    """

    def __init__(self, problem: Problem, candidates: int = 500, truncation: float = 1.0, chunk: int = 16) -> None:
        super().__init__(problem)
        require("projector.best_of", Within(1), candidates=candidates, chunk=chunk)
        if not math.isfinite(truncation):
            raise ValueError(f"projector.best_of.truncation: {truncation} is not finite; 1 is the prior itself")
        self.candidates = candidates
        self.truncation = truncation
        self.chunk = chunk

    @property
    def random(self) -> bool:
        return True

    @property
    def cost(self) -> int:
        return (self.candidates + 1) * self.problem.cost()

    def scaled(self, share: float) -> "BestOf":
        fewer = copy(self)
        fewer.candidates = max(1, int(self.candidates * share))
        return fewer

    @torch.no_grad()
    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """The best draw for each image."""
        device = objective.targets.images.device
        began = clock(device)
        classes, found = objective.targets.classes, None
        latent = torch.zeros(len(objective.targets.ids), *self.problem.space.shape, device=device)
        for kind in [None] if classes is None else classes.unique(dim=0):
            draws, kinds, values = self._candidates(objective, kind)
            best = values.argmin(dim=0)
            mine = slice(None) if kind is None else (classes == kind).all(dim=1)
            latent[mine] = draws[best][mine]
            found = None if kinds is None else kinds[best]
        v = self.problem.start(objective.targets, latent)
        if self.problem.space.needs_class and classes is None and found is not None:
            v["class"] = found
        return better(self.candidate(objective, v, self.candidates * self.problem.cost(), began), inversion)

    def _candidates(self, objective: Objective, kind: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
        """Draws, of the class ``kind`` if there is one; their classes, where they need one; and the value of each for
        each image, ``[candidates, b]``."""
        space, generator, device = self.problem.space, self.problem.generator, objective.targets.images.device
        rng, kinds = stream("candidates", self.problem.seed), None
        with generator.conditioned(None if kind is None else kind[None]):
            draws = space.constrain(space.sample(self.candidates, rng, self.truncation).to(device))
        if space.needs_class:
            one = None if kind is None else kind.expand(self.candidates, -1)
            kinds = generator.draw_classes(self.candidates, rng).to(device) if one is None else one
        parts = [None] * self.candidates if kinds is None else kinds.split(self.chunk)
        maps, values = first_maps(objective), []
        for part, own in zip(draws.split(self.chunk), parts, strict=False):
            with generator.conditioned(own):
                values.append(compare(objective, part, maps))
        # A value that is not finite would else be the least of all.
        return draws, kinds, torch.cat(values).nan_to_num(torch.inf, torch.inf, torch.inf)
