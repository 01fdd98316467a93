"""A judge of attributes that no direction was found with: a linear layer on VGG's features, from labels of photos."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.config.constraints import FilePath
from zstar.losses.networks import VGG19Conv3

SIZE, GRID, CHANNELS = 64, 4, 256  # pixels, places of a picture, numbers of each place


class Judge(nn.Module):
    """Faces [b, 3 or 1, h, h] in [−1, 1], cut out as those of its photos were → probabilities of attributes [b, k].

    Arguments:
        backbone: Path of VGG-19's ``vgg_normalised_conv3_1.pth``.
        attributes: k.
    """

    def __init__(self, backbone: FilePath, attributes: int = 3) -> None:
        super().__init__()
        # Not a part of the state dict: the file of a judge has its linear layer alone.
        self._backbone = [VGG19Conv3(backbone, "annotation.network.backbone")]
        self.linear = nn.Linear(CHANNELS * GRID**2, attributes)

    def features(self, images: Tensor) -> Tensor:
        """Numbers of what is at each of a few places, [b, 4096]."""
        if images.shape[-2:] != (SIZE, SIZE):
            images = F.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
        maps = self._backbone[0].to(images.device)(images)[-1]
        return F.adaptive_avg_pool2d(maps, GRID).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(self.features(images)))
