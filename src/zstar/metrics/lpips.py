"""Learned perceptual image patch similarity, as a metric."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import FilePath
from zstar.losses.lpips import BACKBONES
from zstar.losses.lpips import LPIPS as Distance
from zstar.metrics.base import AbstractMetric


class LPIPS(AbstractMetric):
    """LPIPS 0.1 (Zhang et al. 2018, https://arxiv.org/abs/1801.03924): :class:`zstar.losses.lpips.LPIPS`, reported.

    ``alex`` is the net that papers report, and it is another one than the ``vgg`` that they optimise: a method must not
    be judged by the distance that it minimised. Images are clamped to the displayable range.

    Arguments:
        net: Backbone: ``alex``, ``vgg`` or ``squeeze``.
        backbone: Path of torchvision's state dict of that backbone; the file in torch's cache if not given.

    Raises:
        FileNotFoundError: No path is given and torch's cache holds no such weights; a run leaves the metric out and
            says so.
        ValueError: There is no such net, or the path that is given is of no use.
    """

    better = "lower"

    def __init__(self, net: Literal["alex", "vgg", "squeeze"] = "alex", backbone: FilePath | None = None) -> None:
        self.network = net
        try:
            self.distance = Distance(net=net, backbone=backbone)
        except ValueError as error:
            kind = FileNotFoundError if backbone is None and net in BACKBONES else ValueError
            raise kind(str(error).replace("loss.lpips", "metric.lpips")) from None

    def __call__(self, image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        return self.distance.to(image.device)(image.clamp(-1, 1), target.clamp(-1, 1))
