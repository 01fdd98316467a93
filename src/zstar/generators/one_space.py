"""What generators have in common whose one space is that of their prior."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.generators.base import AbstractGenerator


class AbstractOneSpace(AbstractGenerator):
    """A generator with one space, in each coordinate of which its prior is normal, or uniform on [−1, 1]."""

    def sample(
        self, n: int, rng: torch.Generator, truncation: float = 1.0, space: str | None = None
    ) -> Float[Tensor, "n ..."]:
        """``n`` draws from the prior, scaled towards its mean, zero, by ``truncation``."""
        shape = self.shape(space or self.drawn)
        if self.prior == "uniform":
            z = torch.rand(n, *shape, generator=rng, device=rng.device) * 2 - 1
        else:
            z = torch.randn(n, *shape, generator=rng, device=rng.device)
        return truncation * self.bring(z)

    def lift(self, latent: Float[Tensor, "b ..."], source: str, target: str) -> Float[Tensor, "b ..."]:
        """The latent itself: there is no other space."""
        self.shape(source), self.shape(target)
        return latent
