"""The protocol of edits that change the values of pixels and not their places."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.edits.base import AbstractEdit
from zstar.edits.search import search


class AbstractPaint(AbstractEdit):
    """An edit of values: every pixel of the result is valid, and clamped to [−1, 1], where its gradient ends."""

    def apply(
        self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
        painted = self.paint(images, alpha.view(-1, 1, 1, 1))
        return painted.clamp(-1, 1), torch.ones_like(images[:, :1])

    def measure_strength(self, before: Float[Tensor, "b c h w"]) -> Callable[[Tensor], Tensor]:
        return search(self, before)

    @abstractmethod
    def paint(self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b c h w"]:
        """The new values, in [−1, 1] or beyond."""


def need_colour(name: str, images: Float[Tensor, "b c h w"]) -> None:
    """Raise ``ValueError`` unless the images have red, green and blue."""
    if images.shape[1] != 3:
        raise ValueError(
            f"edit.{name}: images of {images.shape[1]} channels have no colours to edit; choose edit=[brightness]"
        )
