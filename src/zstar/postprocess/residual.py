"""The change of the projection, added to the photo."""

from jaxtyping import Float
from torch import Tensor

from zstar.postprocess.base import AbstractPostprocess, Change, to_size


class Residual(AbstractPostprocess):
    """y = x + m·(G(v′) − G(v)): what the projection lost of the photo stays also where it is painted on.

    The rule of the Neural Photo Editor (Brock et al. 2017, https://arxiv.org/abs/1609.07093), with the photo's pixels
    kept outside of the reach of what was painted. The choice for restyling, and wherever the projection is close: what
    is removed leaves as much of itself behind as the projection had missed of it.

    Arguments:
        reach: How far beyond what was painted the change counts in full, in shares of the picture's side.
        fade: How far beyond that it fades to nothing, likewise.
    """

    def __init__(self, reach: float = 0.06, fade: float = 0.06) -> None:
        super().__init__(reach, fade)

    def compose(self, change: Change, allowed: Float[Tensor, "_ 1 H W"]) -> Float[Tensor, "b c H W"]:
        return change.photo + allowed * to_size(change.after - change.before, change.size)
