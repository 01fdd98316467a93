"""The protocol of discriminators D: what trains a generator."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AbstractDiscriminator(nn.Module, ABC):
    """A judge of images in [−1, 1], with the adversarial loss that belongs to it.

    Judging is split so that what does not learn is computed once per image, though it is judged twice: once to train
    the discriminator and once to train the generator.
    """

    @abstractmethod
    def features(self, images: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """The part that never trains, batch first; where all of D trains, the images themselves."""

    @abstractmethod
    def judge(self, features: list[Tensor]) -> list[Tensor]:
        """Logits ``[b, n_i]``, higher for real, one tensor per head."""

    @abstractmethod
    def loss(self, real: list[Tensor], fake: list[Tensor]) -> Float[Tensor, ""]:
        """What the discriminator minimises, from the logits of real and of generated images."""

    @abstractmethod
    def generator_loss(self, fake: list[Tensor]) -> Float[Tensor, ""]:
        """What the generator minimises, from the logits of generated images."""

    @abstractmethod
    def penalty(self, images: Float[Tensor, "b c h w"], step: int, rng: torch.Generator) -> Tensor | None:
        """Gradient penalty on real images for the discriminator's loss at this step; ``None`` where there is none."""

    @abstractmethod
    def refresh(self) -> None:
        """Called once before each step of the discriminator."""

    def forward(self, images: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Logits of images."""
        return self.judge(self.features(images))
