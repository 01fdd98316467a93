"""Effect: the intended attribute as a function of α."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.annotations.base import AbstractAnnotation
from zstar.editability.base import AbstractEditability, Traversal
from zstar.editability.reading import find_factor, read, require_scorer


class Effect(AbstractEditability):
    """Slope, fit and monotonicity of the intended attribute over α, as a scorer reads it from the images.

    Per image: ``effect/slope``, change of the attribute per unit of α by least squares; ``effect/r2``, how much of the
    attribute's variation lies on that line; ``effect/monotone``, the share of the strengths' range around α = 0 over
    which every step changes the attribute in the same way.

    Arguments:
        annotation: The scorer.
        factor: Name of the attribute; null takes the one that the direction is for.
    """

    def __init__(self, annotation: AbstractAnnotation, factor: str | None = None) -> None:
        self.scorer, self.factor = require_scorer(annotation, "effect", factor), factor

    def __call__(self, traversal: Traversal) -> dict[str, Float[Tensor, " n"]]:
        factor = find_factor(traversal, self.scorer, self.factor)
        if factor is None or len(traversal.alphas) < 3:
            return {}
        column = self.scorer.names.index(factor)
        values = torch.stack(
            [read(self.scorer, images, traversal.size)[:, column] for images in traversal.images]
        ).double()
        x = traversal.alphas.double()[:, None]
        x, y = x - x.mean(), values - values.mean(dim=0)
        slope = (x * y).sum(dim=0) / x.square().sum()
        total = y.square().sum(dim=0)
        r2 = 1 - (y - slope * x).square().sum(dim=0) / total.clamp_min(1e-12)
        way = monotone(traversal.alphas, values).where(values.isfinite().all(dim=0), torch.nan)
        found = {"slope": slope, "r2": r2.where(total > 1e-9, torch.nan), "monotone": way}
        return {f"effect/{name}": value.float() for name, value in found.items()}


def monotone(alphas: Float[Tensor, " s"], values: Float[Tensor, "s n"]) -> Float[Tensor, " n"]:
    """The share of the range of α, around the strength nearest to 0, over which each step goes the way that the whole
    range does."""
    middle = int(alphas.abs().argmin())
    way = (values[-1] - values[0]).sign()
    right = (values.diff(dim=0).sign() == way).float() * (way != 0)  # [s-1, n]
    widths = alphas.diff()[:, None] / (alphas[-1] - alphas[0])
    upwards = (right[middle:].cumprod(dim=0) * widths[middle:]).sum(dim=0)
    downwards = (right[:middle].flip(0).cumprod(dim=0) * widths[:middle].flip(0)).sum(dim=0)
    return (upwards + downwards).float()
