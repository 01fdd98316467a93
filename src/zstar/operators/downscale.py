"""Smaller images."""

import math
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import Within, require
from zstar.operators.base import AbstractOperator, Named, Shape

Filter = Literal["area", "bilinear", "bicubic"]


class Downscale(AbstractOperator):
    """Makes images smaller by a whole factor: the operator of super-resolution.

    Says nothing about detail, which is left to G, as in PULSE (Menon et al. 2020, https://arxiv.org/abs/2003.03808),
    which looks for the sharp pictures that a small one may come from and takes ``bicubic``. The choice also for a
    first, smoother stage of a projection. A small picture that was scaled up with a smooth filter comes down as nearly
    the small picture again.

    Arguments:
        factor: Size before over size after, 1 or more; where it does not divide the size, the result is rounded up.
        filter: ``area`` (the mean over blocks of ``factor`` × ``factor`` pixels; those at the right and lower edge may
            be smaller), or ``bilinear`` or ``bicubic``, both widened by the factor so that nothing aliases.
    """

    linear = True

    def __init__(self, factor: int = 4, filter: Filter = "area") -> None:
        require("operator.downscale", Within(1), factor=factor)
        if filter not in get_args(Filter):
            names = ", ".join(get_args(Filter))
            raise ValueError(f"operator.downscale.filter: there is no filter '{filter}'; choose one of {names}")
        self.factor, self.filter = factor, filter

    def __call__(self, images: Float[Tensor, "b c h w"], targets: Named) -> Float[Tensor, "b c h2 w2"]:
        """The small images."""
        if self.filter == "area":
            return F.avg_pool2d(images, self.factor, ceil_mode=True)
        size = tuple(math.ceil(length / self.factor) for length in images.shape[-2:])
        return F.interpolate(images, size=size, mode=self.filter, align_corners=False, antialias=True)

    def as_picture(
        self, observation: Float[Tensor, "b c h2 w2"], targets: Named, size: tuple[int, int]
    ) -> Float[Tensor, "b c h w"]:
        """The small images scaled up, bicubic, and clamped to what they could be."""
        if self.filter == "area":  # blocks that were cut at the edge stand for whole ones here
            height, width = (length * self.factor for length in observation.shape[-2:])
        else:
            height, width = size
        large = F.interpolate(observation, size=(height, width), mode="bicubic", align_corners=False)
        return large[..., : size[0], : size[1]].clamp(-1, 1)

    def shape(self, shape: Shape) -> Shape:
        channels, height, width = shape
        if self.factor > min(height, width):
            raise ValueError(
                f"operator.downscale.factor: {self.factor} leaves less than a pixel of {height} × {width} images; set "
                f"it to {min(height, width)} or less"
            )
        return channels, math.ceil(height / self.factor), math.ceil(width / self.factor)
