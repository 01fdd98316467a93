"""The mirror of a DCGAN's discriminator."""

import torch
from torch import nn

from zstar.config.constraints import POSITIVE, Within, require
from zstar.encoders.base import AbstractEncoder, EncoderSpec, Images, Latents


class IGAN(AbstractEncoder):
    """iGAN's predictor (Zhu et al. 2016, https://arxiv.org/abs/1609.03552): strided 5×5 convolutions with batch norm.

    The choice for small generators such as a DCGAN, and the fastest one. Untrained it gives latents near the prior's
    mean. Its batch norm takes the statistics of each batch in training, and fixed ones afterwards.

    Arguments:
        spec: Its images and latents.
        width: Channels after the first convolution; they double with each one, up to ``width_max``.
        limit: Latents are ``limit``·tanh of the network's output, for priors that are uniform on
            [−``limit``, ``limit``]; null for the prior's mean plus its spread times that.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        width: int = 64,
        width_max: int = 512,
        limit: float | None = None,
    ) -> None:
        super().__init__(spec)
        require("encoder", Within(1), width=width, width_max=width_max)
        require("encoder", POSITIVE, limit=1.0 if limit is None else limit)
        self.limit = limit
        layers: list[nn.Module] = []
        size, source = spec.resolution, spec.channels
        while size > 4:
            target = min(width * 2 ** (len(layers) // 3), width_max)
            layers += [nn.Conv2d(source, target, 5, 2, 2, bias=False), nn.BatchNorm2d(target), nn.LeakyReLU(0.2)]
            size, source = (size + 1) // 2, target
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.read = nn.Linear(source * size**2, self.width)
        nn.init.zeros_(self.read.bias)

    def forward(self, images: Images, latent: Latents, reconstruction: Images | None = None) -> Latents:
        """Latents from the images alone."""
        codes = self.read(self.body(images.contiguous(memory_format=torch.channels_last)))[:, None]
        if self.limit is None:
            return self.place(codes)
        return (self.limit * codes.float().tanh()).expand(-1, self.rows, -1).reshape(len(codes), *self.shape)
