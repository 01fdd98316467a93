"""Grey images."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.images import LUMA
from zstar.operators.base import AbstractOperator, Named, Shape
from zstar.stats.constants import Constant

_LUMA = Constant(torch.tensor(LUMA).view(1, 3, 1, 1))


class Grey(AbstractOperator):
    """Takes the colour away: the operator of colourisation.

    Every channel becomes the luma (BT.601) of the pixel, so that losses see images of as many channels as before. A
    grey photo is its own observation. Images of one channel are grey already.
    """

    linear = True

    def __call__(self, images: Float[Tensor, "b c h w"], targets: Named) -> Float[Tensor, "b c h w"]:
        """The grey images."""
        if images.shape[1] == 1:
            return images
        return (images * _LUMA.like(images)).sum(dim=1, keepdim=True).expand_as(images)

    def shape(self, shape: Shape) -> Shape:
        if shape[0] not in (1, 3):
            raise ValueError(
                f"operator.grey: images of {shape[0]} channels have no luma; it is for those of red, green and blue"
            )
        return shape
