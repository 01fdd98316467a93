"""Mahalanobis distance in Gaussianised w."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.reasons import Unfit
from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import chunks, stream

SMALLEST = 1e-5
CHUNK = 1000


class PNorm(AbstractRegularizer):
    """Mean of squares of whitened style codes: 1 for a typical sample of the prior, whatever the shape of w.

    The mapping network ends in a leaky ReLU of slope 0.2. Undoing it (slope 5 for negative values) makes w nearly
    normal (Wulff & Torralba 2020, https://arxiv.org/abs/2009.06529); the principal axes of samples, each scaled to
    unit variance, make it a unit ball. In w_plus every row is whitened with the statistics of w, which is the P-norm⁺
    of II2S (Zhu et al. 2020, https://arxiv.org/abs/2012.09036; weight 0.001 there). The choice to keep w and w_plus
    editable.

    Arguments:
        space: w or w_plus. Its ``prior_samples`` draws of w give the statistics; axes whose variance is below 1e-5 of
            the largest are taken to have that.
        weight: μ, the factor of this regularizer in the objective.
    """

    def __init__(self, space: AbstractSpace, weight: float = 1.0) -> None:
        if space.name not in ("w", "w_plus"):
            raise Unfit(
                f"regularizer.p_norm: it knows w and w_plus, not space={space.name}; choose regularizer=[latent_norm]"
            )
        super().__init__(space, weight)
        self.center, self.whitening = _statistics(space)

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        latent = v["latent"]
        whitened = (gaussianize(latent) - self.center.to(latent)) @ self.whitening.to(latent)
        return whitened.flatten(1).square().mean(dim=1)


def gaussianize(w: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
    """The leaky ReLU (slope 0.2) at the end of the mapping network, undone."""
    return F.leaky_relu(w, negative_slope=5.0)


@torch.no_grad()
def _statistics(space: AbstractSpace) -> tuple[Tensor, Tensor]:
    """Mean ``[d]`` of Gaussianised w, and the matrix ``[d, d]`` that whitens rows."""
    rng, sizes = stream("principal axes", 0), chunks(space.prior_samples, CHUNK)
    samples = torch.cat([gaussianize(space.generator.sample(size, rng, 1.0, "w")).double() for size in sizes])
    variances, axes = torch.linalg.eigh(samples.T.cov())
    scale = variances.clamp_min(variances[-1] * SMALLEST).rsqrt()
    return samples.mean(dim=0).float(), (axes * scale).float()
