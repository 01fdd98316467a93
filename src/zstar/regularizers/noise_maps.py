"""Optimised noise maps that stay noise."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.reasons import Unfit
from zstar.generators.variables import Variables, part
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace

COARSEST = 8


class NoiseMaps(AbstractRegularizer):
    """StyleGAN2's penalty on noise maps that carry a picture: squared correlation between neighbouring pixels.

    Summed over maps, over both directions, and over a pyramid of 2×2 means down to 8×8 (Karras et al. 2020, appendix D,
    https://arxiv.org/abs/1912.04958, with the pyramid of the official projector, which does not rescale). The official
    weight is 1e5. Choose it whenever noise maps are optimised. Every image is penalised by itself.

    Arguments:
        space: Its generator must have noise maps.
        weight: μ, the factor of this regularizer in the objective.
    """

    def __init__(self, space: AbstractSpace, weight: float = 1e5) -> None:
        if not space.generator.noise_shapes:
            raise Unfit(
                f"regularizer.noise_maps: {type(space.generator).__name__} has no noise maps; "
                "remove noise_maps from regularizer"
            )
        super().__init__(space, weight)

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        noise = part(v, "noise")
        if not noise:
            raise Unfit(
                "regularizer.noise_maps: no noise maps are optimised; "
                "set noise=optimize or remove noise_maps from regularizer"
            )
        return torch.stack([correlation(maps) for maps in noise.values()]).sum(dim=0)


def correlation(maps: Float[Tensor, "b 1 h w"]) -> Float[Tensor, " b"]:
    """Squared mean product of each pixel with its right and its lower neighbour, summed over the pyramid, per image."""
    total = maps.new_zeros(len(maps))
    while True:
        for direction in (2, 3):
            total = total + (maps * maps.roll(1, dims=direction)).mean(dim=(1, 2, 3)).square()
        if min(maps.shape[-2:]) <= COARSEST:
            return total
        maps = F.avg_pool2d(maps, 2)


def unit_noise(maps: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Each map of each image brought to mean 0 and root mean square 1; a constant map becomes zero."""
    maps = maps - maps.mean(dim=(1, 2, 3), keepdim=True)
    return maps / maps.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-8)
