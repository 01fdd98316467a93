"""Principal components in constant memory."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zstar.directions.linear import in_units_of_prior
from zstar.generators.base import AbstractGenerator
from zstar.spaces.base import AbstractSpace

LARGE = 512  # up to this size all eigenvectors take less than a second


class StreamedCovariance:
    """Mean and covariance of vectors that come in batches, and their covariance with others, in double precision.

    Sums are taken around the first batch's mean, so that vectors far from zero lose no digits.
    """

    def __init__(self) -> None:
        self.count = 0

    def add(self, x: Float[Tensor, "b d"], y: Float[Tensor, "b e"] | None = None) -> None:
        """One more batch of x, and of what belongs to it."""
        x, y = x.double(), None if y is None else y.double()
        if not self.count:
            self._x, self._y = x.mean(dim=0), None if y is None else y.mean(dim=0)
            self._sum, self._square, self._sum_y, self._cross = (0.0,) * 4
        x = x - self._x
        self.count, self._sum, self._square = self.count + len(x), self._sum + x.sum(dim=0), self._square + x.T @ x
        if y is not None:
            y = y - self._y
            self._sum_y, self._cross = self._sum_y + y.sum(dim=0), self._cross + y.T @ x

    @property
    def mean(self) -> Float[Tensor, " d"]:
        """Mean of x."""
        return self._x + self._sum / self.count

    @property
    def covariance(self) -> Float[Tensor, "d d"]:
        """Covariance of x, divided by n − 1."""
        return (self._square - torch.outer(self._sum, self._sum) / self.count) / (self.count - 1)

    @property
    def cross(self) -> Float[Tensor, "e d"]:
        """Covariance of y with x, divided by n − 1."""
        return (self._cross - torch.outer(self._sum_y, self._sum) / self.count) / (self.count - 1)


def sorted_eigenvectors(
    matrix: Float[Tensor, "d d"], count: int
) -> tuple[Float[Tensor, " {count}"], Float[Tensor, "{count} d"]]:
    """The ``count`` largest eigenvalues of a symmetric matrix, in order, and unit eigenvectors as rows, ``signed``."""
    if count * 8 < len(matrix) and len(matrix) > LARGE:
        from scipy.sparse.linalg import eigsh

        # Iterated to machine precision; finding all of thousands to keep ten would take minutes. The start is fixed.
        pair = eigsh(matrix.numpy(), count, which="LA", v0=np.ones(len(matrix)))
        values, vectors = (torch.from_numpy(part.copy()) for part in pair)
    else:
        values, vectors = torch.linalg.eigh(matrix)
    order = values.argsort(descending=True)[:count]
    return values[order].clamp_min(0), torch.stack([signed(vector) for vector in vectors.T[order]])


def signed(vector: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The vector or its opposite: the one whose coordinate of largest magnitude is positive.

    Mathematics leaves the sign of an eigenvector open, and libraries differ.
    """
    flat = vector.flatten()
    return vector if flat[flat.abs().argmax()] >= 0 else -vector


def in_rows(
    generator: AbstractGenerator, vector: Float[Tensor, " w"], rows: list[int] | None = None
) -> Float[Tensor, "n w"]:
    """A vector of w in these rows of w_plus (all by default), zero in the others."""
    placed = vector.new_zeros(generator.shape("w_plus"))
    placed[slice(None) if rows is None else rows] = vector
    return placed


def in_units_of(space: AbstractSpace, vector: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """As ``in_units_of_prior``, also for a vector of w where the space is w_plus."""
    if vector.shape == space.shape:
        return in_units_of_prior(space, vector)
    return in_units_of_prior(space, in_rows(space.generator, vector))[0]
