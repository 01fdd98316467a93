"""The edges of the edited picture, in the colours of the photo."""

from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import POSITIVE, require
from zstar.postprocess.base import AbstractPostprocess, Change, grow
from zstar.postprocess.gradients import Guide, clone


class Poisson(AbstractPostprocess):
    """y is the photo, but where the edit changes the projection it has the edges of G(v′): no seam can be seen.

    Gradient-domain editing (Pérez et al. 2003, https://doi.org/10.1145/882262.882269), solved exactly. The choice for
    things that are put in and taken away where the projection's colours are off: those of the photo around flow in.
    Not for restyling, whose point is the colour.

    Arguments:
        reach: How far beyond what was painted the picture may change, in shares of its side.
        least: The change of a colour, of 2 from black to white, from which on the edges are those of G(v′).
        guide: ``import``, or ``mixed``, through which the edges of the photo show where they are steeper.
    """

    def __init__(self, reach: float = 0.06, least: float = 0.08, guide: Guide = "import") -> None:
        super().__init__(reach, 0.0)
        require("postprocess", POSITIVE, least=least)
        self.least, self.guide = least, guide

    def compose(self, change: Change, allowed: Float[Tensor, "_ 1 H W"]) -> Float[Tensor, "b c H W"]:
        large = change.enlarged()
        changed = ((large.after - large.before).abs().amax(dim=1, keepdim=True) >= self.least).to(large.photo)
        mask = grow(changed, max(1, round(0.02 * max(change.size)))) * (allowed > 0.5)
        return clone(large.photo, large.after, mask, self.guide)
