"""Distance of latents from where they began."""

from jaxtyping import Float
from torch import Tensor

from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace


class OriginNorm(AbstractRegularizer):
    """‖v − v₀‖², as the mean square of a coordinate in units of the prior's spread: an edit that stays near.

    The smoothness term ‖z − z₀‖² of iGAN's brushes (Zhu et al. 2016, https://arxiv.org/abs/1609.03552): of all latents
    that do what a stroke asks for, the nearest one changes least of the rest. Both are latents of the space, in the
    same coordinates; iGAN's code takes z₀ in [−1, 1] from a z before the tanh that brings it there, so that its term is
    not least at z₀. For d coordinates of a uniform prior on [−1, 1], iGAN's ‖z − z₀‖² is d/3 times this value.

    v₀ is ``origin``; where none is given that of v, which the projectors ``saved`` and ``starts`` note there; where
    there is none either, where the space begins: the mean of its prior in w and w_plus, and this a Gaussian prior
    around it.

    Arguments:
        space: The space that the latents live in.
        weight: μ, the factor of this regularizer in the objective.
        origin: v₀, one for all images; null for that of each image, or where the space begins.
    """

    quadratic = True

    def __init__(self, space: AbstractSpace, weight: float = 1.0, origin: Float[Tensor, "1 ..."] | None = None) -> None:
        super().__init__(space, weight)
        self.begins = space.start(1)
        self.origin = None if origin is None else origin.detach()

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        origin = v.get("origin", self.begins) if self.origin is None else self.origin
        far = (v["latent"] - origin.to(v["latent"])) / max(self.space.spread, 1e-12)
        return far.square().flatten(1).mean(dim=1)
