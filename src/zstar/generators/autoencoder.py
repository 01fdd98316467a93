"""What generators offer that were trained together with an inverting network, such as VAEs."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor


class Autoencoder(ABC):
    """A generator that has an encoder of its own.

    Attributes:
        encoded: The space that its latents are in.
    """

    encoded: str

    @abstractmethod
    def encode(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b ..."]:
        """The latents of ``encoded`` that its encoder gives images in [−1, 1]; differentiable."""


class TrainableAutoencoder(Autoencoder):
    """One that can be trained, both halves at once.

    Attributes:
        penalty: What its training weighs besides the reconstruction: ``"kl"``, the Kullback–Leibler divergence of what
            the encoder gives from the prior, in nats per colour value, or ``"commitment"``, the mean squared distance
            of what it gives from the codes that stand for it.
    """

    penalty: ClassVar[Literal["kl", "commitment"]]

    @abstractmethod
    def training_pass(
        self, image: Float[Tensor, "b c h w"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, " b"]]:
        """Reconstructions of images in [−1, 1], and the ``penalty`` of each; random numbers are drawn from ``rng``.

        In ``train()``, what a network keeps of the images that it sees, such as running means, changes with each call.
        """
