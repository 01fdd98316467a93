"""The protocol of discriminators D, the opponents of a generator or an encoder in training."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AbstractDiscriminator(nn.Module, ABC):
    """A network that tells real from generated images in [−1, 1], or latents, with the adversarial loss for it.

    It is in two parts, so that the frozen one runs once per image, though each image gets logits twice: once to train
    the discriminator and once to train the generator or encoder.

    Attributes:
        inputs: Kind of its inputs: ``images`` ``[b, c, h, w]``, or ``latents``, single codes ``[b, width]``.
        classes: Number of classes that it sees besides, 0 for none.
        group: Neighbours in a batch that it compares, 0 for none; with 1 it sees each image alone.
        layers: Names of the submodules whose outputs are its feature maps ``[b, c, h, w]``, each of one image alone.
    """

    inputs: ClassVar[Literal["images", "latents"]] = "images"
    layers: Sequence[str] = ()
    classes: int = 0
    group: int = 0

    @abstractmethod
    def features(self, images: Float[Tensor, "b ..."]) -> list[Tensor]:
        """The part that never trains, batch first; where all of D trains, the images or latents themselves."""

    @abstractmethod
    def logits(self, features: list[Tensor], classes: Float[Tensor, "b k"] | None = None) -> list[Tensor]:
        """Logits ``[b, n_i]``, higher for real, one tensor per head.

        Where the images' classes are given, to a D that sees some, they are how real an image is as one of its class:
        a term ⟨class vector, last features⟩ is added (Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637).
        """

    @abstractmethod
    def loss(self, real: list[Tensor], fake: list[Tensor]) -> Float[Tensor, ""]:
        """Loss of the discriminator, from the logits of real and generated inputs."""

    @abstractmethod
    def generator_loss(self, fake: list[Tensor]) -> Float[Tensor, ""]:
        """Loss of the generator, or of the encoder, from the logits of its outputs."""

    @abstractmethod
    def penalty(
        self,
        images: Float[Tensor, "b ..."],
        step: int,
        rng: torch.Generator,
        classes: Float[Tensor, "b k"] | None = None,
    ) -> Tensor | None:
        """Gradient penalty on real inputs for the discriminator's loss at this step; ``None`` where there is none."""

    @abstractmethod
    def refresh(self) -> None:
        """Called once before each step of the discriminator."""

    def forward(self, images: Float[Tensor, "b ..."], classes: Float[Tensor, "b k"] | None = None) -> list[Tensor]:
        """Logits of images or latents."""
        return self.logits(self.features(images), classes)
