"""How much an image changes the generator's feature maps."""

from jaxtyping import Float
from torch import Tensor

from zstar.generators.variables import Variables, part
from zstar.regularizers.base import AbstractRegularizer


class FeatureNorm(AbstractRegularizer):
    """Σ ‖δ_i‖² over the layers whose maps an image changes, each as the mean over its numbers: the regularizer of
    Semantic Photo Manipulation (Bau et al. 2019, https://arxiv.org/abs/2005.07727) for the projector ``features``.

    Factors 1 + δ are taken as they are, and what is added to a map counts in units of nothing else: maps of StyleGAN2
    have values around 1.

    Arguments:
        space: The space that the latents live in; it holds the generator.
        weight: μ, the factor of this regularizer in the objective.
    """

    of = ("features", "factors")

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        changes = [value for kind in self.of for value in part(v, kind).values()]
        squares = [change.flatten(1).square().mean(dim=1) for change in changes]
        return sum(squares[1:], squares[0]) if squares else image.new_zeros(len(image))
