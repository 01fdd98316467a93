"""A picture as the start."""

from collections.abc import Sequence

import torch

from zstar.callbacks import Callback
from zstar.inversion import Inversion, clock
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractProjector
from zstar.projectors.pictures import inside, require_pixels


class Copy(AbstractProjector):
    """Gives every image one of its targets as v, for ``generator=pixels``: where image-space optimisation begins.

    Style transfer begins at the content, ``image``, which keeps its layout, or at ``style``; projector ``random`` is
    noise, as Gatys et al. 2016 begin, and ``mean`` grey. Gradient-domain editing begins at the background with the
    source pasted into it.

    Arguments:
        problem: The equation without its targets.
        target: Name of the target.
        inside: Name of another target that is pasted into it; ``None`` for none.
        mask: Where that is pasted, above 0.5.
    """

    def __init__(self, problem: Problem, target: str = "image", inside: str | None = None, mask: str = "mask") -> None:
        super().__init__(problem)
        require_pixels(problem, "projector.copy")
        self.target, self.inside, self.mask = target, inside, mask

    @property
    def cost(self) -> int:
        return self.problem.cost()

    @property
    def reads(self) -> dict[str, str]:
        pasted = {} if self.inside is None else {"inside": self.inside, "mask": self.mask}
        return {f"projector.copy.{key}": name for key, name in {"target": self.target, **pasted}.items()}

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """The target, as far as it may be seen, in the place of what was found so far."""
        targets = objective.targets
        began = clock(targets.images.device)
        self.require_targets(targets.named, targets.maps)
        picture = targets.named[self.target]
        if self.inside is not None:
            picture = torch.where(inside(targets, self.mask) > 0, targets.named[self.inside], picture)
        return self.candidate(objective, self.problem.start(targets, picture.clone()), 0, began).after(inversion)
