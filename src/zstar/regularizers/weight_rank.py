"""How many directions the generator's weights change in."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.generators.changes import weight_changes
from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace

SMALL = 1e-3  # of a parameter's size: singular values below count by their square, so that no change has no slope


class WeightRank(AbstractRegularizer):
    """Sum of the singular values of each change of weights, the nearest convex thing to its rank: few and whole ones.

    The choice where changes are to be compressed afterwards; ``projector.weights.rank`` makes the rank itself small. A
    filter counts as a matrix of its outputs by all else, a vector as a matrix of one row. The value is the mean over
    parameters of that sum in units of the parameter's own Frobenius norm (1 where that is zero).

    Arguments:
        space: The space that the latents live in; it holds the generator.
        weight: μ, the factor of this regularizer in the objective.
    """

    of = ("weights",)

    def __init__(self, space: AbstractSpace, weight: float = 1.0) -> None:
        super().__init__(space, weight)
        norms = {name: value.norm() for name, value in space.generator.named_parameters()}
        self.norms = {name: norm.where(norm > 0, norm.new_ones(())) for name, norm in norms.items()}

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        changes = weight_changes(v, self.space.generator)
        if not changes:
            return image.new_zeros(len(image))
        sums = [singular_values(change / self.norms[name]) for name, change in changes.items()]
        return sum(sums[1:], sums[0]) / len(sums)


def singular_values(change: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
    """Σ √(σ² + ε²) − ε over the singular values of each change as a matrix: smooth where there is no change."""
    matrix = change.flatten(2) if change.dim() > 2 else change.reshape(len(change), 1, -1)
    if matrix.shape[1] > matrix.shape[2]:
        matrix = matrix.mT
    count = matrix.shape[1]
    small = SMALL / count**0.5
    gram = matrix @ matrix.mT + small**2 * torch.eye(count, dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.eigvalsh(gram).clamp_min(0).sqrt().sum(dim=1) - count * small
