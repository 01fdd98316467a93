"""The exact solution of gradient-domain editing."""

from collections.abc import Sequence

from zstar.callbacks import Callback
from zstar.inversion import Inversion, clock
from zstar.losses.fields import Guide
from zstar.objective import Objective, Problem
from zstar.postprocess.gradients import clone
from zstar.projectors.base import AbstractProjector
from zstar.projectors.pictures import require_pixels


class Poisson(AbstractProjector):
    """argmin ∫ |∇ŷ − g|² inside of the mask with ŷ = background all around it, for ``generator=pixels``.

    The limit of the losses ``boundary`` and ``gradient`` as the weight of the boundary grows, solved with multigrid
    (:func:`zstar.postprocess.gradients.clone`; Pérez et al. 2003, https://doi.org/10.1145/882262.882269). Choose it for
    the usual problem, and ``optimizer=conjugate_gradient`` where other terms join in. The losses measure what it finds,
    and nothing of them is minimised.

    Arguments:
        problem: The equation without its targets.
        guide: As for :class:`zstar.losses.gradient.Gradient`.
        source, background, mask: Names of the targets.
    """

    def __init__(
        self,
        problem: Problem,
        guide: Guide = "import",
        source: str = "source",
        background: str = "image",
        mask: str = "mask",
    ) -> None:
        super().__init__(problem)
        require_pixels(problem, "projector.poisson")
        self.guide, self.source, self.background, self.mask = guide, source, background, mask

    @property
    def regions(self) -> tuple[str, ...]:
        return (self.mask,)

    @property
    def cost(self) -> int:
        return self.problem.cost()

    @property
    def reads(self) -> dict[str, str]:
        return {f"projector.poisson.{key}": getattr(self, key) for key in ("source", "background", "mask")}

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """The exact solution, in the place of what was found so far."""
        targets = objective.targets
        began = clock(targets.images.device)
        self.require_targets(targets.named, targets.maps)
        background, source, mask = (targets.named[name] for name in (self.background, self.source, self.mask))
        v = self.problem.start(targets, clone(background, source, mask, self.guide))
        return self.candidate(objective, v, 0, began).after(inversion)
