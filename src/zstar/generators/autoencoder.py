"""What generators offer that were trained together with an inverting network, such as VAEs."""

from abc import ABC, abstractmethod

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
