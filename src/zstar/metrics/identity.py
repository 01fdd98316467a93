"""Whether it is the same person, as a metric."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from zstar.losses.embedding import Embedding
from zstar.losses.networks import as_rgb
from zstar.metrics.base import AbstractMetric


class Identity(AbstractMetric):
    """1 − cosine of the vectors that a network R gives two images: :class:`zstar.losses.embedding.Embedding`, reported.

    With R that recognises faces, 0 is the same picture and about 1 a stranger. A method that minimised the loss of the
    same network is judged too kindly. Images are clamped to the displayable range; grey ones are repeated to three
    channels.

    Arguments:
        network: R, as the loss describes it.
        size, crop: What R is shown, as the loss describes them.
    """

    better = "lower"

    def __init__(
        self, network: nn.Module, size: Sequence[int] | None = None, crop: Sequence[float] | None = None
    ) -> None:
        self.network = type(network).__name__
        try:
            self.distance = Embedding(network, size, crop)
        except ValueError as error:
            raise ValueError(str(error).replace("loss.*", "metric.identity")) from None

    def __call__(self, image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        return self.distance.to(image.device)(as_rgb(image.clamp(-1, 1)), as_rgb(target.clamp(-1, 1)))
