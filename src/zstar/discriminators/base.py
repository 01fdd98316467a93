"""The protocol of discriminators D: what a generator or an encoder is trained against."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AbstractDiscriminator(nn.Module, ABC):
    """A judge of images in [−1, 1] or of latents, with the adversarial loss that belongs to it.

    Judging is split so that what does not learn is computed once per image, though it is judged twice: once to train
    the discriminator and once to train what it judges.

    Attributes:
        judges: What it tells real from made: ``images`` ``[b, c, h, w]``, or ``latents``, single codes ``[b, width]``.
    """

    judges: ClassVar[Literal["images", "latents"]] = "images"

    @abstractmethod
    def features(self, images: Float[Tensor, "b ..."]) -> list[Tensor]:
        """The part that never trains, batch first; where all of D trains, the images or latents themselves."""

    @abstractmethod
    def judge(self, features: list[Tensor]) -> list[Tensor]:
        """Logits ``[b, n_i]``, higher for real, one tensor per head."""

    @abstractmethod
    def loss(self, real: list[Tensor], fake: list[Tensor]) -> Float[Tensor, ""]:
        """What the discriminator minimises, from the logits of what is real and of what is made."""

    @abstractmethod
    def generator_loss(self, fake: list[Tensor]) -> Float[Tensor, ""]:
        """What the generator, or the encoder, minimises, from the logits of what it has made."""

    @abstractmethod
    def penalty(self, images: Float[Tensor, "b ..."], step: int, rng: torch.Generator) -> Tensor | None:
        """Gradient penalty on what is real for the discriminator's loss at this step; ``None`` where there is none."""

    @abstractmethod
    def refresh(self) -> None:
        """Called once before each step of the discriminator."""

    def forward(self, images: Float[Tensor, "b ..."]) -> list[Tensor]:
        """Logits of images or latents."""
        return self.judge(self.features(images))
