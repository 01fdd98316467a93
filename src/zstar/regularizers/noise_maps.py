"""Optimised noise maps that stay noise."""

import math
from collections.abc import Sequence

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
        return correlation(list(noise.values()))


def correlation(maps: Sequence[Float[Tensor, "b 1 _ _"]]) -> Float[Tensor, " b"]:
    """Squared mean product of each pixel with its right and its lower neighbour, summed over maps and their pyramids.

    What is of one size, a map or a level of a larger one, is handled together.
    """
    levels: dict[tuple[int, ...], list[Tensor]] = {}
    for one in maps:
        levels.setdefault(tuple(one.shape[-2:]), []).append(one)
    total = maps[0].new_zeros(len(maps[0]))
    while levels:
        size = max(levels, key=math.prod)
        level = torch.stack(levels.pop(size))  # [maps, b, 1, h, w]
        for direction in (3, 4):
            products = (level * level.roll(1, dims=direction)).mean(dim=(2, 3, 4))
            total = total + products.square().sum(dim=0)
        if min(size) > COARSEST:
            half = F.avg_pool2d(level.flatten(0, 1), 2).unflatten(0, level.shape[:2])
            levels.setdefault(tuple(half.shape[-2:]), []).extend(half)
    return total


def unit_noise(maps: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Each map of each image brought to mean 0 and root mean square 1; a constant map becomes zero."""
    maps = maps - maps.mean(dim=(1, 2, 3), keepdim=True)
    return maps / maps.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-8)
