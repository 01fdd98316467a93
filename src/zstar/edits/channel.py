"""Red, green or blue."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.edits.paint import AbstractPaint, need_colour
from zstar.stats.constants import Constant

CHANNELS = ("red", "green", "blue")


class Channel(AbstractPaint):
    """Adds α to one of the three colours, in units of images in [−1, 1].

    Short of the ends of the range, two of them make the one of the summed α.

    Arguments:
        channel: ``red``, ``green`` or ``blue``.
        low, high: The range of α.

    Errors: ``ValueError`` for images without colour.
    """

    unit = "offset in [-1, 1]"

    def __init__(self, channel: Literal["red", "green", "blue"], low: float = -0.5, high: float = 0.5) -> None:
        super().__init__(low, high)
        if channel not in CHANNELS:
            raise ValueError(f"edit.channel.channel: there is no '{channel}'; choose one of {', '.join(CHANNELS)}")
        self.channel = channel
        self._chosen = Constant(torch.tensor([float(name == channel) for name in CHANNELS]).view(1, 3, 1, 1))

    def paint(self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b c h w"]:
        need_colour(self.channel, images)
        return images + alpha * self._chosen.like(images)
