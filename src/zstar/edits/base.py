"""The protocol of edits: (image, α) → the edited image and the mask of its valid pixels."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import Within


class AbstractEdit(ABC):
    """A function of images with a strength α, the ``edit`` of argmin_w E[L(G(z + αw), edit(G(z), α))].

    α = 0 is the identity, and equal steps of α are equal steps of the edit (a zoom counts in octaves, not in factors),
    so that a direction walked n times by ε does what the edit does with nε.

    Attributes:
        unit: Unit of α, e.g. ``"octaves"``.
        limits: The strengths that the edit is defined for at all.

    Arguments:
        low, high: The range of α that a direction is trained on and applied in by default; 0 lies within. Strengths
            beyond it can be asked for, as far as ``limits`` go.
    """

    unit: str
    limits: tuple[float, float] = (-math.inf, math.inf)

    def __init__(self, low: float, high: float) -> None:
        name = type(self).__name__.lower()
        if low not in Within(-math.inf, 0) or high not in Within(0) or not low < high:
            raise ValueError(
                f"edit.{name}.low, high: {low} to {high} is no range of α; 0 has to lie within, low < high"
            )
        least, most = self.limits
        if low < least or high > most:
            raise ValueError(f"edit.{name}.low, high: {low} to {high} is beyond it; keep within {least} to {most}")
        self.low, self.high = float(low), float(high)

    def __call__(
        self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
        """Edit images in [−1, 1], each with its own α; differentiable in both. α = 0 gives the very image back.

        Returns:
            The edited images, and 1 for each of their pixels that is valid, 0 for those that a warp had to invent:
            they are to carry no loss.
        """
        edited, valid = self.apply(images, alpha)
        still = (alpha == 0).view(-1, 1, 1, 1)
        same = images.detach() + (edited - edited.detach())  # the image, bit for bit, with the gradient of the edit
        return torch.where(still, same, edited), torch.where(still, torch.ones_like(valid), valid)

    @abstractmethod
    def apply(
        self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
        """The edit as it is called, but α = 0 may be the identity up to rounding only."""

    @abstractmethod
    def measure_strength(self, before: Float[Tensor, "b c h w"]) -> Callable[[Tensor], Tensor]:
        """A measure for images that may have come from ``before`` by this edit: images ``[b, c, h, w]`` → how much
        of the edit is in them ``[b]``, in its unit, as far as the pixels tell. What depends on ``before`` alone is
        computed once."""

    def achieved(self, before: Float[Tensor, "b c h w"], after: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """The strength of this edit that leads from ``before`` to ``after``."""
        return self.measure_strength(before)(after)

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, " n"]:
        """``n`` strengths, uniform over the range."""
        return self.low + (self.high - self.low) * torch.rand(n, generator=rng, device=rng.device)
