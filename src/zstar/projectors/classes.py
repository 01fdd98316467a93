"""The class of an image, found by trying them."""

import math
from collections.abc import Sequence
from copy import copy

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from zstar.callbacks import Callback
from zstar.config.constraints import Within, require
from zstar.config.reasons import Unfit
from zstar.inversion import Inversion, clock
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractProjector, better
from zstar.projectors.classifier import Classifier
from zstar.projectors.comparison import compare, first_maps
from zstar.stats.streams import stream


class Classes(AbstractProjector):
    """Tries each class for each image and takes the one of the lowest value: which class an image has.

    Of a class it tries the latent that the space begins at and, with ``draws``, some of its prior, whose random numbers
    are the same for all classes. The choice in front of ``optimization`` for a conditional generator, whose class
    gradients rarely change for the better one (pix2latent, Huh et al. 2020, https://arxiv.org/abs/2005.01703, is told
    it). In z the class found is a variable, which ``optimization`` mixes with others unless its ``class_lr`` is 0; in
    other spaces it says where to begin.

    Arguments:
        problem: The equation without its targets; its generator has a class for each image (``generator.label=own``).
        draws: Latents of each class besides.
        truncation: Of the draws, 1 for none.
        chunk: Candidates that are compared at once; bounds the memory.
        classifier: What scores the classes of an image; then only the best of them are tried.
        top: How many of them.

    Raises:
        Unfit: The generator has no classes, or one for all images.
    """

    finds_class = True

    def __init__(
        self,
        problem: Problem,
        draws: int = 0,
        truncation: float = 1.0,
        chunk: int = 16,
        classifier: Classifier | None = None,
        top: int = 5,
    ) -> None:
        super().__init__(problem)
        require("projector.classes", Within(0), draws=draws)
        require("projector.classes", Within(1), chunk=chunk, top=top)
        if not math.isfinite(truncation):
            raise ValueError(f"projector.classes.truncation: {truncation} is not finite; 1 is the prior itself")
        if not problem.generator.classes:
            kind = type(problem.generator).__name__
            raise Unfit(
                f"projector.classes: {kind} has no class of an image's own to find; where it has classes, set "
                "generator.label=own"
            )
        self.draws, self.truncation, self.chunk, self.classifier = draws, truncation, chunk, classifier
        self.top = min(top, problem.generator.classes)

    @property
    def random(self) -> bool:
        return self.draws > 0

    @property
    def cost(self) -> int:
        return (self._tries + 1) * self.problem.cost()

    @property
    def _tries(self) -> int:
        return (self.draws + 1) * (self.problem.generator.classes if self.classifier is None else self.top)

    def scaled(self, share: float) -> "Classes":
        """Fewer draws of each class."""
        if not self.draws:
            return self
        fewer = copy(self)
        fewer.draws = int(self.draws * share)
        return fewer

    @torch.no_grad()
    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """The best latent of the best class for each image."""
        targets, problem = objective.targets, self.problem
        if targets.classes is not None:
            raise ValueError("projector.classes: data.classes says the classes, so none is to be found; leave one out")
        began = clock(targets.images.device)
        allowed = self._allowed(targets.images)
        tried = allowed.any(dim=0).nonzero()[:, 0]
        latents, shares = self._candidates(tried)
        maps, values = first_maps(objective), []
        for some, own in zip(latents.split(self.chunk), shares.split(self.chunk), strict=True):
            with problem.generator.conditioned(own):
                values.append(compare(objective, some, maps))
        # A value that is not finite would else be the least of all.
        found = torch.cat(values).nan_to_num(torch.inf, torch.inf, torch.inf)
        best = found.where(allowed[:, tried].t().repeat_interleave(self.draws + 1, dim=0), torch.inf).argmin(dim=0)
        v = problem.start(targets, latents[best])
        if problem.space.needs_class:
            v["class"] = shares[best]
        return better(self.candidate(objective, v, self._tries * problem.cost(), began), inversion)

    def _allowed(self, images: Float[Tensor, "b c h w"]) -> Bool[Tensor, "b k"]:
        """Which classes are tried for each image."""
        count = self.problem.generator.classes
        if self.classifier is None:
            return torch.ones(len(images), count, dtype=torch.bool, device=images.device)
        best = self.classifier(images, count).topk(self.top, dim=1).indices
        return F.one_hot(best, count).any(dim=1)

    def _candidates(self, tried: Tensor) -> tuple[Float[Tensor, "n ..."], Float[Tensor, "n k"]]:
        """Latents of the classes that are tried, class by class, and the class of each."""
        space, generator = self.problem.space, self.problem.generator
        kinds = F.one_hot(tried, generator.classes).float()
        latents = space.start(len(kinds), kinds)[:, None]
        if self.draws:
            drawn = []
            for kind in kinds:
                with generator.conditioned(kind[None]):
                    drawn.append(space.sample(self.draws, stream("classes tried", self.problem.seed), self.truncation))
            draws = space.constrain(torch.cat(drawn).to(latents)).unflatten(0, (len(kinds), self.draws))
            latents = torch.cat([latents, draws], dim=1)
        return latents.flatten(0, 1), kinds.repeat_interleave(self.draws + 1, dim=0)
