"""Distance between the features of any network, as a metric."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import FilePath
from zstar.losses.networks import as_rgb
from zstar.losses.perceptual import Perceptual as Distance
from zstar.metrics.base import AbstractMetric
from zstar.metrics.network import load_metric_network


class Perceptual(AbstractMetric):
    """Squared distance of unit-length features: :class:`zstar.losses.perceptual.Perceptual`, reported.

    Works offline, with the annotator that ships, whose features know cottages; give it another network for other
    images. Numbers of different networks can't be compared, so the name of the network is reported with them; and a
    method that minimised the features of the same network is judged too kindly. Images are clamped to the displayable
    range; grey ones are repeated to three channels.

    Arguments:
        checkpoint: An annotator: a safetensors file with its card, or the name of a shipped one. Not read if there is a
            ``network``.
        network: Any module that takes images in [−1, 1] and returns feature maps, as the loss describes it.
        layers: Which of its maps; all if not given.
    """

    better = "lower"

    def __init__(
        self,
        checkpoint: FilePath = "judge64",
        network: nn.Module | None = None,
        layers: Sequence[int] | Sequence[str] | None = None,
    ) -> None:
        if network is None:
            network, self.network = load_metric_network(checkpoint, "perceptual"), checkpoint
        else:
            self.network = type(network).__name__
        try:
            self.distance = Distance(network, layers)
        except ValueError as error:
            raise ValueError(str(error).replace("loss.perceptual", "metric.perceptual")) from None

    def __call__(self, image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        return self.distance.to(image.device)(as_rgb(image.clamp(-1, 1)), as_rgb(target.clamp(-1, 1)))
