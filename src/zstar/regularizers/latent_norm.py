"""Distance from the prior's mean."""

from jaxtyping import Float
from torch import Tensor

from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer


class LatentNorm(AbstractRegularizer):
    """Mean over coordinates of ((v − mean) / spread)²: 1 for a typical sample of the prior, 0 for its mean.

    The choice for any space whose prior is roughly a ball. In z with a normal prior it is ‖z‖²/d, so 2/d times the
    negative log-likelihood. In w, where coordinates differ in spread and depend on each other, see ``p_norm``.

    Arguments:
        space: The space that the latents live in; its ``mean`` and ``spread`` are the prior's.
        weight: μ, the factor of this regularizer in the objective.
    """

    quadratic = True

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        latent = v["latent"]
        offset = (latent - self.space.mean.to(latent)) / max(self.space.spread, 1e-12)
        return offset.flatten(1).square().mean(dim=1)
