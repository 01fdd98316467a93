"""The edited picture, laid over the photo where it has changed."""

from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import POSITIVE, Within, require
from zstar.postprocess.base import AbstractPostprocess, grow, smooth


class Blend(AbstractPostprocess):
    """y = (1 − m)·x + m·G(v′), with m from where the edit changes the projection, and from what was painted.

    The choice for projections that miss what is painted over: nothing of the old is left behind, as it is with
    ``residual``, and for the price of the photo's own detail there.

    Arguments:
        reach: How far beyond what was painted the picture may be laid over, in shares of the picture's side.
        fade: How far beyond that it fades to nothing, likewise.
        least: The change of a colour, of 2 from black to white, that is laid over in full; smaller ones in their share.
        soft: How far the borders of what has changed are blurred, in shares of the picture's side.
    """

    def __init__(self, reach: float = 0.06, fade: float = 0.06, least: float = 0.15, soft: float = 0.03) -> None:
        super().__init__(reach, fade)
        require("postprocess", POSITIVE, least=least)
        require("postprocess", Within(0, 1), soft=soft)
        self.least, self.soft = least, soft

    def compose(
        self,
        photo: Float[Tensor, "b c h w"],
        before: Float[Tensor, "b c h w"],
        after: Float[Tensor, "b c h w"],
        allowed: Float[Tensor, "_ 1 h w"],
    ) -> Float[Tensor, "b c h w"]:
        width = round(self.soft * max(photo.shape[-2:]))
        changed = ((after - before).abs().amax(dim=1, keepdim=True) / self.least).clamp(max=1)
        over = allowed * smooth(grow(changed, width), width)
        return photo + over * (after - photo)
