"""Kernel inception distance of reconstructions from their targets."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import FilePath
from zstar.losses.networks import as_rgb
from zstar.metrics.base import AbstractSetMetric
from zstar.metrics.distribution import Estimate, pooled
from zstar.metrics.network import load_metric_network
from zstar.stats.kernel_distance import kernel_distance


class KID(AbstractSetMetric):
    """Kernel distance of the set of reconstructions from the set of targets (Bińkowski et al. 2018,
    https://arxiv.org/abs/1801.01401), on the features of any network.

    A method that makes all images a little too smooth is told from one that makes some of them badly. No image is
    compared with its own reconstruction, so that a perfect reconstruction has 0. It is unbiased, and so at times below
    that; of fewer than some hundreds of images it is rough, which its interval shows. Features are means
    over space of every map, and of the coarsest one over each of its quarters. Numbers of different networks can't be
    compared.

    Arguments:
        checkpoint: An annotator: a safetensors file with its card, or the name of a shipped one. Not read if there is a
            ``network``.
        network: Any module that takes images in [−1, 1] and returns a list of feature maps.
    """

    better = "lower"
    needs = "three images or more"

    def __init__(self, checkpoint: FilePath = "judge64", network: nn.Module | None = None) -> None:
        self.network = checkpoint if network is None else type(network).__name__
        self.extract = (
            (load_metric_network(checkpoint, "kid") if network is None else network).eval().requires_grad_(False)
        )

    @torch.no_grad()
    def features(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        found = self.extract.to(image.device)(as_rgb(image.clamp(-1, 1)))
        return pooled(list(getattr(found, "features", found)))

    def __call__(self, made: Float[Tensor, "n d"], targets: Float[Tensor, "n d"]) -> Estimate | None:
        if len(made) < 3:
            return None
        return Estimate.of(torch.from_numpy(kernel_distance(targets.double().numpy(), made[None].double().numpy())))
