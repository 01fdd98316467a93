"""The protocol of encoders E: networks from images to latents."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import Within, require
from zstar.spaces.base import AbstractSpace

Images = Float[Tensor, "b c h w"]
Latents = Float[Tensor, "b ..."]


@dataclass(frozen=True)
class EncoderSpec:
    """The images that an encoder reads and the latents that it gives.

    Attributes:
        resolution: Height and width of the images, in pixels.
        channels: Their colour channels.
        shape: Shape of one latent, such as ``(512,)`` in z and w or ``(18, 512)`` in w_plus.
        mean: The latent that stands for the prior, in that shape: its mean, or where that is none, the space's start.
        spread: Root mean squared distance of a latent from the prior's mean, per coordinate.
    """

    resolution: int
    channels: int
    shape: tuple[int, ...]
    mean: Float[Tensor, "..."]
    spread: float

    @classmethod
    def of(cls, space: AbstractSpace) -> "EncoderSpec":
        """The images of a space's generator, and its latents."""
        generator = space.generator
        return cls(generator.resolution, generator.channels, space.shape, space.origin, space.spread)


class AbstractEncoder(nn.Module, ABC):
    """One step of an inverting network, (x, v, G(v)) → a better v; most look at x alone and take one step.

    A network works in units of the space: what it puts out is scaled by the prior's spread and added to a latent. An
    untrained one, whose last layer is zero, therefore gives the prior's mean.

    Arguments:
        spec: Its images and latents.

    Attributes:
        resolution, channels, shape, mean, spread: As in ``spec``.
        rows: Codes in a latent: those of w_plus, else 1.
        width: Coordinates of a code.
        passes: How often the step is taken by default.
        any_size: Whether it takes images of other sizes than it was made for, where a latent is a picture.
        iterative: Whether the step reads v and G(v); if not, a second one gives the same latent again.
    """

    mean: Tensor
    spread: Tensor
    passes: int = 1
    iterative: bool = False
    any_size: ClassVar[bool] = False

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        require("encoder", Within(8), resolution=spec.resolution)
        require("encoder", Within(1), channels=spec.channels)
        self.resolution, self.channels, self.shape = spec.resolution, spec.channels, tuple(spec.shape)
        self.rows = self.shape[0] if len(self.shape) == 2 else 1
        self.width = math.prod(self.shape) // self.rows
        self.register_buffer("mean", spec.mean.detach().clone().float())
        self.register_buffer("spread", torch.tensor(float(spec.spread)))

    @abstractmethod
    def forward(self, images: Images, latent: Latents, reconstruction: Images | None = None) -> Latents:
        """Better latents of ``images`` in [−1, 1] than ``latent``, whose pictures are ``reconstruction``."""

    def place(self, codes: Float[Tensor, "b n width"]) -> Float[Tensor, "b ..."]:
        """Latents from what a network puts out: a code for each row, or one for all of them."""
        offset = codes.float().expand(-1, self.rows, -1).reshape(len(codes), *self.shape)
        return self.mean + self.spread * offset
