"""Whether an edit does what it did before the generator was fitted to the photo."""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from zstar.editability.base import AbstractEditability, Traversal
from zstar.generators.reading import CHANGES, unchanged
from zstar.generators.variables import kinds_of


class EditDrift(AbstractEditability):
    """‖Δ(θ) − Δ(θ0)‖² over ‖Δ(θ0)‖², where Δ = G(z + αw) − G(z) is what an edit changes of a picture.

    0 where the same α still does the same with the image's own weights or maps as without them, 1 where nothing of the
    edit is left, or as much of something else has come to it. Over all strengths but the middle one, in pixels. Images
    without changes of G have no such value.
    """

    def __call__(self, traversal: Traversal) -> dict[str, Float[Tensor, " n"]]:
        if not kinds_of(traversal.v) & set(CHANGES):
            return {}
        plain = replace(traversal, v=unchanged(traversal.v), memory={})
        own, kept = (one.images - one.before for one in (traversal, plain))
        difference, size = ((change.square().flatten(2).sum(dim=(0, 2))) for change in (own - kept, kept))
        return {"edit_drift/mean": difference / size.clamp_min(1e-12)}
