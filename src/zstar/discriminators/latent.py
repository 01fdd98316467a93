"""A discriminator of style codes."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import POSITIVE, Within, require
from zstar.discriminators.logistic import AbstractLogistic


class Latent(AbstractLogistic):
    """e4e's latent discriminator (Tov et al. 2021, https://arxiv.org/abs/2102.02766): an MLP on single style codes.

    It tells codes that the mapping network gives from codes that an encoder gives, one row of w_plus at a time. The
    choice beside an encoder whose latents are to be edited: ``adversary=[latent]``. Non-saturating logistic loss with
    R1 (Mescheder et al., https://arxiv.org/abs/1801.04406), differentiated exactly, for codes are small.

    Arguments:
        mean: Mean of the real codes, in the shape of one.
        spread: Root mean squared distance of a real code from the mean, per coordinate. D sees (code − mean) / spread,
            so that it works the same for every generator.
        hidden: Units per layer; null for as many as a code has coordinates.
        layers: Layers in all, the last one of which gives the logit.
        r1_gamma: Weight of the penalty γ/2 ‖∇D‖² in these units. e4e's 10 is for raw codes: 10 / spread² here.
        r1_every: Steps between two penalties; each counts that many times.
    """

    inputs = "latents"
    mean: Tensor

    def __init__(
        self,
        mean: Float[Tensor, " width"],
        spread: float = 1.0,
        hidden: int | None = None,
        layers: int = 4,
        r1_gamma: float = 10.0,
        r1_every: int = 16,
    ) -> None:
        super().__init__(r1_gamma, r1_every)
        hidden = len(mean) if hidden is None else hidden
        require("discriminator", Within(1), hidden=hidden, layers=layers)
        require("discriminator", POSITIVE, spread=spread)
        self.register_buffer("mean", mean.detach().clone().float())
        self.spread = spread
        body: list[nn.Module] = []
        for layer in range(layers - 1):
            body += [nn.Linear(hidden if layer else len(mean), hidden), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*body, nn.Linear(hidden if body else len(mean), 1))

    def features(self, images: Float[Tensor, "b width"]) -> list[Tensor]:
        """Codes in units of the prior: all of this discriminator trains."""
        return [(images - self.mean) / self.spread]

    def logits(self, features: list[Tensor], classes: Float[Tensor, "b k"] | None = None) -> list[Tensor]:
        """One logit per code, kept out of mixed precision, where the distances between codes are lost."""
        codes = features[0]
        with torch.autocast(codes.device.type, enabled=False):
            return [self.body(codes.float())]

    def gradient(
        self, images: Float[Tensor, "b width"], rng: torch.Generator, classes: Float[Tensor, "b k"] | None = None
    ) -> Float[Tensor, " b"]:
        """‖∇D‖² at each code, exact, in units of the prior."""
        codes = self.features(images)[0].detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(self.logits([codes])[0].sum(), codes, create_graph=True)
        return slope.square().sum(dim=1)
