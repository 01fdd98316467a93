"""The edited picture, laid over the photo where it has changed."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import POSITIVE, Within, require
from zstar.postprocess.base import AbstractPostprocess, Change, grow, mask_size, smooth, to_size
from zstar.segmenters.base import AbstractSegmenter

Mask = Literal["difference", "segmenter", "given"]


class Blend(AbstractPostprocess):
    """y = (1 − m)·x + m·G(v′), with m from where the edit changes the projection, and from what was painted.

    The choice for projections that miss what is painted over: nothing of the old is left behind, as it is with
    ``residual``, and for the price of the photo's own detail there.

    Arguments:
        reach: How far beyond what was painted the picture may be laid over, in shares of the picture's side.
        fade: How far beyond that it fades to nothing, likewise.
        least: The change of a colour, of 2 from black to white, that is laid over in full; smaller ones in their share.
        soft: How far the borders of m are blurred, in shares of the picture's side.
        mask: Where m is from: ``difference`` of the edit and the projection; ``segmenter``, which sees one of
            ``classes`` in one of them; or ``given`` alone, by what was painted or by ``data.mask``.
        classes: Names of classes of the segmenter.
        segmenter: Makes the segmenter; it is made where ``mask`` needs it.

    Raises:
        ValueError: Classes are missing, or the segmenter has none of such a name.
    """

    def __init__(
        self,
        reach: float = 0.06,
        fade: float = 0.06,
        least: float = 0.15,
        soft: float = 0.03,
        mask: Mask = "difference",
        classes: Sequence[str] | None = None,
        segmenter: Callable[[], AbstractSegmenter] | None = None,
    ) -> None:
        super().__init__(reach, fade)
        require("postprocess", POSITIVE, least=least)
        require("postprocess", Within(0, 1), soft=soft)
        self.least, self.soft, self.mask, self.segmenter = least, soft, mask, None
        if mask == "segmenter":
            if not classes or segmenter is None:
                raise ValueError(
                    "postprocess.blend.classes: mask=segmenter looks for classes and none is named; name some, such as "
                    "[tree,grass], or set mask=difference"
                )
            self.segmenter = segmenter()
            self.columns = [self.segmenter.column(name, "postprocess.blend.classes") for name in classes]

    def compose(self, change: Change, allowed: Float[Tensor, "_ 1 H W"]) -> Float[Tensor, "b c H W"]:
        if self.mask == "given" and change.mask is None:
            raise ValueError(
                "postprocess.blend.mask: nothing was painted and no mask is given; set data.mask=<files>, or choose "
                "mask=difference"
            )
        large = change.enlarged()
        over = allowed if self.mask == "given" else allowed * self.changed(change)
        return large.photo + over * (large.after - large.photo)

    def changed(self, change: Change) -> Float[Tensor, "b 1 H W"]:
        """Where the picture is to be laid over, from 0 to 1, with soft borders."""
        size = mask_size(change.size)
        if self.segmenter is None:
            before, after = to_size(change.before, size), to_size(change.after, size)
            where = ((after - before).abs().amax(dim=1, keepdim=True) / self.least).clamp(max=1)
        else:
            where = to_size(self.seen(change, self.segmenter), size)
        width = round(self.soft * max(size))
        return to_size(smooth(grow(where, width), width), change.size)

    def seen(self, change: Change, segmenter: AbstractSegmenter) -> Float[Tensor, "b 1 h w"]:
        """1 where the segmenter sees one of the classes before or after."""
        segmenter.to(change.before.device)
        with torch.no_grad():
            maps = [segmenter(to_size(one, change.frame)) for one in (change.before, change.after)]
        here = [classes == column for classes in maps for column in self.columns]
        return torch.stack(here).any(dim=0)[:, None].to(change.photo)
