"""Distance of latents from where they began."""

from jaxtyping import Float
from torch import Tensor

from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace


class OriginNorm(AbstractRegularizer):
    """‖v − v₀‖², as the mean square of a coordinate in units of the prior's spread: an edit that stays near.

    The smoothness term of iGAN's brushes (Zhu et al. 2016, https://arxiv.org/abs/1609.03552): of all latents that do
    what a stroke asks for, the nearest one changes least of the rest. Where no origin is given it is where the space
    begins, the mean of its prior in w and w_plus, and this a Gaussian prior around it.

    Arguments:
        space: The space that the latents live in.
        weight: μ, the factor of this regularizer in the objective.
        origin: v₀, one for all images; null for where the space begins.
    """

    quadratic = True

    def __init__(self, space: AbstractSpace, weight: float = 1.0, origin: Float[Tensor, "1 ..."] | None = None) -> None:
        super().__init__(space, weight)
        self.origin = space.start(1) if origin is None else origin.detach()

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        far = (v["latent"] - self.origin.to(v["latent"])) / max(self.space.spread, 1e-12)
        return far.square().flatten(1).mean(dim=1)
