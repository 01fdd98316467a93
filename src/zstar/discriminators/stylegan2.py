"""StyleGAN2's discriminator: the plain recipe."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.config.constraints import POSITIVE, Within, require
from zstar.discriminators.logistic import AbstractLogistic
from zstar.generators.sizes import doubling_widths, require_doubled


class EqualConv(nn.Module):
    """A convolution with weights of unit variance, scaled at run time, then leaky rectifier with gain √2."""

    def __init__(self, source: int, target: int, kernel: int, active: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(target, source, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(target)) if active else None
        self.gain = 1 / math.sqrt(source * kernel**2)
        self.active = active

    def forward(self, x: Float[Tensor, "b source h w"]) -> Float[Tensor, "b target hh ww"]:
        """Convolve at the same size."""
        x = F.conv2d(x, self.weight * self.gain, self.bias, padding=self.weight.shape[-1] // 2)
        return F.leaky_relu(x, 0.2) * math.sqrt(2) if self.active else x


class Block(nn.Module):
    """Residual block that halves the map."""

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(EqualConv(source, source, 3), EqualConv(source, target, 3))
        self.skip = EqualConv(source, target, 1, active=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d hh ww"]:
        """Mean of 2×2 pixels after the convolutions; the sum of both ways keeps its variance."""
        return (F.avg_pool2d(self.convolutions(x), 2) + self.skip(F.avg_pool2d(x, 2))) * math.sqrt(0.5)


class StyleGAN2(AbstractLogistic):
    """Residual discriminator with minibatch standard deviation (Karras et al. 2020, https://arxiv.org/abs/1912.04958).

    Non-saturating logistic loss with the R1 penalty (Mescheder et al., https://arxiv.org/abs/1801.04406) on real images
    every few steps. Choose it where no annotator of the images exists, and take the hours it needs. Down-sampling is a
    2×2 mean, so weights of official discriminators do not fit.

    Arguments:
        resolution: Height and width of the images, a power of two.
        channels: Colour channels of the images.
        classes: Number of classes that the images have, 0 for none.
        channel_base: Channels at resolution r are ``channel_base / r``, at most ``channel_max``.
        group: Images whose standard deviation is taken together; it divides the batch.
        r1_gamma: Weight of the penalty γ/2 ‖∇D‖².
        r1_every: Steps between two penalties; each counts that many times.
        r1: ``exact`` differentiates twice; ``finite`` estimates with ((D(x + σε) − D(x)) / σ)², one more forward pass.
        r1_sigma: σ of the estimate.
    """

    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        classes: int = 0,
        channel_base: int = 2048,
        channel_max: int = 128,
        group: int = 4,
        r1_gamma: float = 1.0,
        r1_every: int = 16,
        r1: Literal["exact", "finite"] = "exact",
        r1_sigma: float = 0.01,
    ) -> None:
        super().__init__(r1_gamma, r1_every)
        require_doubled("discriminator", resolution)
        require("discriminator", Within(1), channels=channels, group=group)
        require("discriminator", POSITIVE, r1_sigma=r1_sigma)
        widths = [*reversed(doubling_widths(resolution, channel_base, channel_max, "discriminator").values())]
        self.stem = EqualConv(channels, widths[0], 1)
        self.blocks = nn.Sequential(*(Block(s, t) for s, t in zip(widths[:-1], widths[1:], strict=True)))
        self.layers = [f"blocks.{level}" for level in range(len(self.blocks))]
        self.last = EqualConv(widths[-1] + 1, widths[-1], 3)
        self.read = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * 16, widths[-1]), nn.LeakyReLU(0.2))
        self.logit = nn.Linear(widths[-1], 1)
        if classes:
            self.embed = nn.Linear(classes, widths[-1], bias=False)
        self.group, self.r1, self.r1_sigma, self.classes = group, r1, r1_sigma, classes
        self.to(memory_format=torch.channels_last)

    def features(self, images: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """The images: all of this discriminator trains."""
        return [images.contiguous(memory_format=torch.channels_last)]

    def logits(self, features: list[Tensor], classes: Float[Tensor, "b k"] | None = None) -> list[Tensor]:
        """One logit per image."""
        x = self.blocks(self.stem(features[0]))
        x = self.read(self.last(torch.cat([x, self._spread(x)], dim=1)))
        logits = self.logit(x).float()
        return [logits if classes is None else logits + (x * self.embed(classes)).sum(dim=1, keepdim=True).float()]

    def _spread(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Mean standard deviation within each group of neighbours, as one more channel."""
        if len(x) % self.group:
            raise ValueError(f"discriminator.group: {self.group} does not divide a batch of {len(x)}; choose a divisor")
        groups = x.float().unflatten(0, (-1, self.group))
        spread = (groups.var(dim=1, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        return spread.repeat_interleave(self.group)[:, None, None, None].expand(-1, 1, *x.shape[2:]).to(x.dtype)

    def gradient(
        self, images: Float[Tensor, "b c h w"], rng: torch.Generator, classes: Float[Tensor, "b k"] | None = None
    ) -> Float[Tensor, " b"]:
        """‖∇D‖² at each image, exact or estimated from one random direction."""
        with torch.autocast(images.device.type, enabled=False):
            if self.r1 == "exact":
                inputs = images.detach().requires_grad_(True)
                (slope,) = torch.autograd.grad(self(inputs, classes)[0].sum(), inputs, create_graph=True)
                return slope.square().sum(dim=(1, 2, 3))
            noise = torch.randn(images.shape, generator=rng, device=rng.device)
            change = self(images + self.r1_sigma * noise, classes)[0] - self(images, classes)[0]
            return (change / self.r1_sigma).square()[:, 0]
