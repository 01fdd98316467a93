"""Whether a discriminator takes a picture for a real one."""

from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import FilePath
from zstar.discriminators.base import AbstractDiscriminator
from zstar.discriminators.saved import doubt, load_judge
from zstar.losses.base import AbstractLoss


class Realism(AbstractLoss):
    """softplus(−D(y)) of the picture y alone, whatever its target: the adversarial loss, non-saturating, of a
    discriminator that does not learn (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661).

    The choice beside a loss that leaves much open, for networks that produce images, encoders and directions; with one
    that learns along, ``adversary=[image]``, a network can't find what this one overlooks. The same term over v is
    ``regularizer=[realism]``.

    Arguments:
        discriminator: D, as it was trained.
        checkpoint: Its weights: ``discriminator.safetensors``, which ``train.py task=generator`` exports.
        weight: λ, the factor of this loss in the objective.
    """

    def __init__(
        self, discriminator: AbstractDiscriminator, checkpoint: FilePath | None = None, weight: float = 1.0
    ) -> None:
        super().__init__(weight, mask=None)
        self.discriminator = load_judge(discriminator, checkpoint, "loss.realism")

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """The logits of D's heads."""
        return self.discriminator(image)

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        return doubt(features)
