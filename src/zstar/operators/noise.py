"""Noise of the camera."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import Within, require
from zstar.operators.base import AbstractOperator, Named
from zstar.stats.streams import stream

LEVEL = 2 / 255  # one of the 255 steps of 8-bit pixels, in [−1, 1]


class Noise(AbstractOperator):
    """Adds Gaussian noise to observations: the operator of denoising.

    The observation is noisy and G(v) is not, so G says what is picture, and whatever fits no picture of G is left over.
    An observation is a picture, so it is clamped to [−1, 1], as a sensor does. A photo that is noisy already needs no
    operator.

    The noise of an image depends on its name, its size and ``seed``, which is no seed of the method: it is part of what
    is to be solved, so that all methods, and all of their seeds, are given the same picture.

    Arguments:
        sigma: Standard deviation in levels of 255, from 0; 25 is the usual one of papers.
        seed: Other seeds, other noise.
    """

    linear = True

    def __init__(self, sigma: float = 25.0, seed: int = 0) -> None:
        require("operator.noise", Within(0, 255), sigma=sigma)
        require("operator.noise", Within(0, 2**63 - 1), seed=seed)
        self.sigma, self.seed = sigma, seed

    def __call__(self, images: Float[Tensor, "b c h w"], targets: Named) -> Float[Tensor, "b c h w"]:
        """The images themselves."""
        return images

    def observe(self, images: Float[Tensor, "b c h w"], targets: Named, ids: Sequence[str]) -> Float[Tensor, "b c h w"]:
        """The noisy images."""
        rngs = (stream("noise of an observation", self.seed, name) for name in ids)
        noise = torch.stack([torch.randn(images.shape[1:], generator=rng) for rng in rngs])
        return (images + self.sigma * LEVEL * noise.to(images)).clamp(-1, 1)
