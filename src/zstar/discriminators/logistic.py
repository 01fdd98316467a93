"""The logistic loss of a discriminator with R1."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import Within, require
from zstar.discriminators.base import AbstractDiscriminator


class AbstractLogistic(AbstractDiscriminator):
    """Non-saturating logistic loss of a single head, with the R1 penalty γ/2 ‖∇D‖² on real inputs every few steps
    (Mescheder et al. 2018, https://arxiv.org/abs/1801.04406).

    Arguments:
        r1_gamma: Weight of the penalty; 0 for none.
        r1_every: Steps between two penalties; each counts that many times.
    """

    def __init__(self, r1_gamma: float, r1_every: int) -> None:
        super().__init__()
        require("discriminator", Within(1), r1_every=r1_every)
        require("discriminator", Within(0), r1_gamma=r1_gamma)
        self.r1_gamma, self.r1_every = r1_gamma, r1_every

    @abstractmethod
    def gradient(
        self, images: Float[Tensor, "b ..."], rng: torch.Generator, classes: Float[Tensor, "b k"] | None = None
    ) -> Float[Tensor, " b"]:
        """‖∇D‖² at each input, differentiable with respect to the weights."""

    def loss(self, real: list[Tensor], fake: list[Tensor]) -> Float[Tensor, ""]:
        """Logistic loss."""
        return F.softplus(-real[0]).mean() + F.softplus(fake[0]).mean()

    def generator_loss(self, fake: list[Tensor]) -> Float[Tensor, ""]:
        """Non-saturating logistic loss."""
        return F.softplus(-fake[0]).mean()

    def penalty(
        self,
        images: Float[Tensor, "b ..."],
        step: int,
        rng: torch.Generator,
        classes: Float[Tensor, "b k"] | None = None,
    ) -> Tensor | None:
        """R1, every ``r1_every`` steps."""
        if self.r1_gamma == 0 or step % self.r1_every:
            return None
        return self.gradient(images, rng, classes).mean() * (self.r1_gamma / 2 * self.r1_every)

    def refresh(self) -> None:
        """Nothing to prepare."""
