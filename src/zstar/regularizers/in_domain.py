"""Latents that an encoder finds again."""

from jaxtyping import Float
from torch import Tensor

from zstar.encoders.trained import TrainedEncoder
from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace


class InDomain(AbstractRegularizer):
    """Mean over coordinates of ((v − E(G(v))) / spread)²: how far v is from what an encoder reads out of its image.

    IDInvert's domain-regularised optimisation (Zhu et al. 2020, https://arxiv.org/abs/2004.00049): an encoder was
    trained on latents that mean something, and where it finds v again, v is one of them, so edits of v work. The choice
    for the hybrid method, after the projector ``encoder``; it costs a pass of the encoder per step, and synthesises
    again only where the encoder compares with its own pictures.

    The published term 2·‖z − E(G(z))‖² is a mean over coordinates in raw units beside a mean squared error of images in
    [−1, 1], so it is the weight μ = 2·spread² here: about 1.1 in w and w_plus of the cottages. The value is 0 where v
    is found again, and about 1 for samples of the prior if the encoder knows no more than their mean.

    Arguments:
        space: The space that the latents live in.
        encoder: E, frozen; of this generator, and of this space or one that lifts to it.
        weight: μ, the factor of this regularizer in the objective.
    """

    def __init__(self, space: AbstractSpace, encoder: TrainedEncoder, weight: float = 1.0) -> None:
        super().__init__(space, weight)
        self.encoder = encoder.require_compatible(space)
        self.syntheses = self.encoder.syntheses()

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        found = self.encoder(self.space, image)[-1]
        return ((v["latent"] - found) / max(self.space.spread, 1e-12)).flatten(1).square().mean(dim=1)
