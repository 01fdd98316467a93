"""An edit by a function of your own."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.edits.base import AbstractEdit
from zstar.edits.search import search
from zstar.edits.warp import SEEN


class Function(AbstractEdit):
    """Any function of images and strengths, written in a file of your own.

    It is called as ``function(images, alpha)`` with images ``[b, c, h, w]`` in [−1, 1] and one α per image ``[b]``,
    and returns the edited images, or these and the mask ``[b, 1, h, w]`` of their valid pixels (1, or true, for
    those). It has to treat each image by itself. What α = 0 does need not be looked after: it is the identity.

    Arguments:
        function: In YAML a ``_target_`` with ``_partial_: true``; further keys are further arguments of the function.
        low, high: The range of α; 0 lies within.
        unit: Unit of α, for tables and figures.

    Errors: ``ValueError`` for a function that returns something else.
    """

    def __init__(
        self, function: Callable[..., Any], low: float = -1.0, high: float = 1.0, unit: str = "of its own"
    ) -> None:
        super().__init__(low, high)
        self.function, self.unit = function, unit

    def apply(
        self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
        result = self.function(images, alpha)
        edited, valid = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        self._compare("images", edited, images.shape)
        if valid is None:
            return edited.to(images.dtype), torch.ones_like(images[:, :1])
        self._compare("a mask", valid, images[:, :1].shape)
        return edited.to(images.dtype), (valid > SEEN).to(images.dtype)

    def measure_strength(self, before: Float[Tensor, "b c h w"]) -> Callable[[Tensor], Tensor]:
        return search(self, before)

    def _compare(self, what: str, value: object, shape: torch.Size) -> None:
        if not isinstance(value, Tensor) or value.shape != shape:
            name = getattr(self.function, "func", self.function)
            result = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"edit.function.function: {getattr(name, '__name__', name)} returned {result} where {what} of shape "
                f"{list(shape)} is expected; return images, or (images, mask)"
            )
