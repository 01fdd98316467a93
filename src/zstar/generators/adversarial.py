"""What generators have in common that learn against a discriminator."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.generators.base import AbstractGenerator


class AbstractAdversarial(AbstractGenerator):
    """A GAN: it learns from draws of ``z``, and of classes where it has any.

    Attributes:
        settings: What its weights do not tell and a checkpoint's card has to say, by name; plain values.
        batch_statistics: Whether, in training, its layers normalise by the statistics of the batch, and keep running
            ones for single images.
        c_dim: Number of classes that it knows, whichever of them it draws.
    """

    settings: Mapping[str, Any] = MappingProxyType({})
    batch_statistics: bool = False
    c_dim: int = 0

    def draw_classes(self, n: int, rng: torch.Generator) -> Float[Tensor, "n c"]:
        """As many of each class as there is room for, in no order; one-hot."""
        rounds = [torch.randperm(self.c_dim, generator=rng, device=rng.device) for _ in range(-(-n // self.c_dim))]
        return self.bring(F.one_hot(torch.cat(rounds)[:n], self.c_dim).float())
