"""Distance of the layers' style codes from each other."""

from jaxtyping import Float
from torch import Tensor

from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer
from zstar.regularizers.rows import require_rows
from zstar.spaces.base import AbstractSpace


class Spread(AbstractRegularizer):
    """Mean squared deviation of the rows of a w_plus latent from their mean, in units of the prior's spread².

    0 for a latent of w, about 1 for rows drawn independently. The choice to move gradually between the editability of
    w and the reconstruction of w_plus (the trade-off of e4e, Tov et al. 2021, https://arxiv.org/abs/2102.02766).

    Arguments:
        space: w_plus.
        weight: μ, the factor of this regularizer in the objective.
    """

    def __init__(self, space: AbstractSpace, weight: float = 1.0) -> None:
        require_rows("spread", space)
        super().__init__(space, weight)

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        latent = v["latent"]
        deviation = (latent - latent.mean(dim=1, keepdim=True)) / max(self.space.spread, 1e-12)
        return deviation.flatten(1).square().mean(dim=1)
