"""An encoder of several passes, each of which corrects the latent of the one before."""

from collections.abc import Callable
from dataclasses import replace

import torch

from zstar.config.constraints import Within, require
from zstar.encoders.base import AbstractEncoder, EncoderSpec, Images, Latents


class ReStyle(AbstractEncoder):
    """ReStyle (Alaluf et al. 2021, https://arxiv.org/abs/2104.02699): any encoder, taken several times.

    It sees the image and the reconstruction so far, as twice the channels, and its codes are added to the latent so
    far; the first pass starts at the prior's mean. Choose it for better reconstruction than one pass gives, in a few
    passes of time.

    Arguments:
        spec: Its images and latents.
        encoder: The network that is iterated: a node with ``_partial_: true``.
        passes: How often, in training and afterwards.
    """

    iterative = True

    def __init__(
        self,
        spec: EncoderSpec,
        encoder: Callable[..., AbstractEncoder],
        passes: int = 5,
    ) -> None:
        super().__init__(spec)
        require("encoder", Within(1, 1000), passes=passes)
        self.passes = passes
        self.encoder = encoder(replace(spec, channels=2 * spec.channels, mean=torch.zeros_like(spec.mean)))
        if self.encoder.iterative:
            raise ValueError("encoder.encoder: ReStyle can't iterate itself; choose a network of one pass, such as psp")

    def forward(self, images: Images, latent: Latents, reconstruction: Images | None = None) -> Latents:
        """``latent`` plus the inner network's correction for its ``reconstruction``, which is required here."""
        if reconstruction is None:
            raise ValueError("encoder: ReStyle compares the image with its reconstruction so far; hand over G(v)")
        return latent + self.encoder(torch.cat([images, reconstruction.to(images)], dim=1), latent)
