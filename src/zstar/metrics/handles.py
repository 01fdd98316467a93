"""How far dragged handles are from where they were to be."""

from jaxtyping import Float
from torch import Tensor

from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Variables
from zstar.metrics.base import AbstractPriorMetric


class Handles(AbstractPriorMetric):
    """Mean distance of an image's handles from their targets at the end, in pixels; NaN for one without handles.

    Where handles are is what the tracking of ``projector=[…,drag]`` says, which may be wrong: a handle on something
    that looks the same along its way arrives sooner than what it was put on.
    """

    better = "lower"
    unit = "px"
    needs = "handles that were dragged, by projector=[…,drag]"

    def __call__(
        self, generator: AbstractGenerator, v: Variables, space: str, noise: str
    ) -> Float[Tensor, " b"] | None:
        if "handles/at" not in v:
            return None
        return (v["handles/at"] - v["handles/to"]).norm(dim=-1).nanmean(dim=1)
