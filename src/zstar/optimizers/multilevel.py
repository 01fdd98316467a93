"""A preconditioner for grids of numbers that knows nothing of the equation but how it curves."""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

SMALLEST = 4  # numbers of a side of the coarsest grid, at the least
COLOURS = tuple(product((0, 1), (0, 1)))  # of a chessboard of four: no two neighbours, not even by a corner, have one


class Multilevel:
    """The inverse diagonal of the Hessian on grids of all sizes, added up (Bramble, Pasciak and Xu 1990,
    https://doi.org/10.1090/S0025-5718-1990-1023042-6).

    The grid ``l`` is spanned by hats of 2^l pixels to each side. Its diagonal comes from probes: hats of one colour of
    four do not touch, so one product of the Hessian with all of them has the curvature along each. That is exact where
    the equation couples neighbours alone, and for all channels at once. Numbers that the equation does not depend on
    are left alone.

    Arguments:
        like: The variable, whose device and type it takes.
    """

    def __init__(self, like: Float[Tensor, "b c h w"]) -> None:
        self.size, line = (like.shape[2], like.shape[3]), like.new_tensor([0.5, 1, 0.5])
        self.kernel = (line[:, None] * line).expand(like.shape[1], 1, 3, 3).contiguous()
        self.diagonals = [torch.zeros_like(like)]
        while min(self.diagonals[-1].shape[-2:]) >= 2 * SMALLEST:
            self.diagonals.append(self._restrict(self.diagonals[-1]))
        self.matters = torch.ones_like(like)

    @property
    def probes(self) -> int:
        """How many products with the Hessian it wants to be shown."""
        return len(COLOURS) * len(self.diagonals)

    def probe(self, place: int) -> Float[Tensor, "b c h w"]:
        """What the Hessian is to be multiplied with."""
        level, (row, column) = place // len(COLOURS), COLOURS[place % len(COLOURS)]
        hats = torch.zeros_like(self.diagonals[level])
        hats[..., row::2, column::2] = 1
        return self._prolong(hats, level) * self.matters

    def learn(self, place: int, bent: Float[Tensor, "b c h w"]) -> None:
        """Take the diagonal from the product with a probe."""
        level, (row, column) = place // len(COLOURS), COLOURS[place % len(COLOURS)]
        found = self._coarse(bent * self.matters, level)
        self.diagonals[level][..., row::2, column::2] = found[..., row::2, column::2]
        if place == len(COLOURS) - 1:
            self.matters = (self.diagonals[0] > 0).to(bent)

    def __call__(self, residual: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """About the inverse Hessian times a residual: symmetric, and positive."""
        coarse, scaled = residual * self.matters, []
        for level, diagonal in enumerate(self.diagonals):
            coarse = self._restrict(coarse) if level else coarse
            scaled.append(torch.where(diagonal > 0, coarse / diagonal.clamp_min(1e-30), 0.0))
        total = scaled.pop()
        for finer in reversed(scaled):
            total = finer + self._interpolate(total, finer)
        return total * self.matters

    def _coarse(self, values: Tensor, level: int) -> Tensor:
        for _ in range(level):
            values = self._restrict(values)
        return values

    def _prolong(self, values: Tensor, level: int) -> Tensor:
        for finer in reversed(self.diagonals[:level]):
            values = self._interpolate(values, finer)
        return values

    def _restrict(self, values: Tensor) -> Tensor:
        return F.conv2d(values, self.kernel, stride=2, padding=1, groups=len(self.kernel))

    def _interpolate(self, values: Tensor, like: Tensor) -> Tensor:
        """Linear interpolation to the next finer grid: the transpose of the restriction."""
        even = [1 - length % 2 for length in like.shape[-2:]]
        return F.conv_transpose2d(
            values, self.kernel, stride=2, padding=1, output_padding=even, groups=len(self.kernel)
        )
