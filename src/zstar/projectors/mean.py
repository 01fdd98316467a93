"""The simplest projection: the mean of the prior."""

from collections.abc import Sequence

from zstar.callbacks import Callback
from zstar.inversion import Inversion, clock
from zstar.objective import Objective
from zstar.projectors.base import AbstractProjector, better


class Mean(AbstractProjector):
    """Gives every image the latent that the space starts at: the mean, the published start in w and w_plus.

    In z of a generator that normalises it, that is no latent: one whose w is nearest to the mean takes its place
    (:meth:`zstar.spaces.base.AbstractSpace.start`).

    As the only projector it is the baseline that any method has to beat. A later place in the list would throw away
    what was found, so there it keeps, image by image, the better of the two.
    """

    uses_image = False

    @property
    def cost(self) -> int:
        return self.problem.cost()

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """The prior mean for each image."""
        began = clock(objective.targets.images.device)
        return better(self.candidate(objective, self.problem.start(objective.targets), 0, began), inversion)
