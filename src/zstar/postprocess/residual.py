"""The change of the projection, added to the photo."""

from jaxtyping import Float
from torch import Tensor

from zstar.postprocess.base import AbstractPostprocess


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

    def compose(
        self,
        photo: Float[Tensor, "b c h w"],
        before: Float[Tensor, "b c h w"],
        after: Float[Tensor, "b c h w"],
        allowed: Float[Tensor, "_ 1 h w"],
    ) -> Float[Tensor, "b c h w"]:
        return photo + allowed * (after - before)
