"""The protocol of edits: edit(image, α) → the edited image, and where it can be trusted."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.ranges import Within


class AbstractEdit(ABC):
    """A function of images with a strength α, the ``edit`` of argmin_w E[L(G(z + αw), edit(G(z), α))].

    α = 0 is the identity, and equal steps of α are equal steps of the edit (a zoom counts in octaves, not in factors),
    so that a direction walked n times by ε does what the edit does with nε.

    Attributes:
        unit: What α counts, e.g. ``"octaves"``.

    Arguments:
        low, high: The range of α that a direction is trained on and applied in by default; 0 lies within.
    """

    unit: str

    def __init__(self, low: float, high: float) -> None:
        name = type(self).__name__.lower()
        if low not in Within(-torch.inf, 0) or high not in Within(0) or not low < high:
            raise ValueError(
                f"edit.{name}.low, high: {low} to {high} is no range of α; 0 has to lie within, low < high"
            )
        self.low, self.high = float(low), float(high)

    @abstractmethod
    def __call__(
        self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
        """Edit images in [−1, 1], each with its own α; differentiable.

        Returns:
            The edited images, and 1 for each of their pixels that is valid, 0 for those that a warp had to invent:
            they are to carry no loss.
        """

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, " n"]:
        """``n`` strengths, uniform over the range."""
        return self.low + (self.high - self.low) * torch.rand(n, generator=rng)
