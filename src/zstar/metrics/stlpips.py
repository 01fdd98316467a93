"""A learned perceptual distance that needs no download, as a metric."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import FilePath
from zstar.losses.stlpips import STLPIPS as Distance
from zstar.metrics.base import AbstractMetric


class STLPIPS(AbstractMetric):
    """Shift-tolerant LPIPS (https://arxiv.org/abs/2207.13686): :class:`zstar.losses.stlpips.STLPIPS`, reported.

    Images are clamped to the displayable range.

    Arguments:
        net: Backbone: ``alex`` or ``vgg``.
        checkpoint: Path of the package's state dict of that net; the one in the installed package if not given.

    Raises:
        ImportError: No path is given and the package is not installed; a run leaves the metric out and says so.
        ValueError: The path is of no use.
    """

    better = "lower"

    def __init__(self, net: Literal["alex", "vgg"] = "alex", checkpoint: FilePath | None = None) -> None:
        self.network = f"stlpips_{net}"
        self.distance = Distance(net=net, checkpoint=checkpoint)

    def __call__(self, image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        return self.distance.to(image.device)(image.clamp(-1, 1), target.clamp(-1, 1))
