"""A network from pictures to pictures."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.config.constraints import Within, require
from zstar.config.reasons import Unfit
from zstar.encoders.base import AbstractEncoder, EncoderSpec, Images, Latents

HALVINGS = 2
KERNEL = 7  # of the first and the last convolution


class Translator(AbstractEncoder):
    """The transformer of fast neural style (Johnson et al. 2016, https://arxiv.org/abs/1603.08155), for a "latent" that
    is a picture (``generator=pixels space=pixels``): two strided convolutions, residual blocks, and the way back.

    Norms are instance norms, of which there is one for each of several styles (Dumoulin et al. 2017,
    https://arxiv.org/abs/1610.07629). It is fully convolutional: what was trained on small pictures takes large ones.

    Arguments:
        spec: Its pictures.
        width: Channels after the first convolution; they double with each halving of the size.
        blocks: Residual blocks.
        skips: Whether maps of the way in are handed to the way back, for results whose edges are those of the input:
            restoration, label maps.
        residual: Whether the result is added to the input; else it is a picture by itself, in [−1, 1].
        styles: How many kinds of results there are, chosen by :attr:`style`.

    Attributes:
        style: Share of each style in the results, ``[b, styles]`` or one row for all; ``None`` where there is one.

    Raises:
        ValueError: A number is out of range, or the space has no pictures.
    """

    any_size = True

    def __init__(
        self,
        spec: EncoderSpec,
        width: int = 16,
        blocks: int = 4,
        skips: bool = False,
        residual: bool = False,
        styles: int = 1,
    ) -> None:
        super().__init__(spec)
        require("encoder", Within(1), width=width, styles=styles)
        require("encoder", Within(0), blocks=blocks)
        if self.shape != (spec.channels, spec.resolution, spec.resolution):
            raise Unfit("encoder: translator makes pictures; choose generator=pixels space=pixels, or another encoder")
        self.skips, self.residual, self.styles = skips, residual, styles
        self.style: Tensor | None = None
        widths = [width * 2**level for level in range(HALVINGS + 1)]
        self.stem = Layer(spec.channels, width, KERNEL, styles)
        self.down = nn.ModuleList(Layer(a, b, 3, styles, stride=2) for a, b in zip(widths, widths[1:], strict=False))
        self.blocks = nn.ModuleList(Block(widths[-1], styles) for _ in range(blocks))
        self.up = nn.ModuleList(
            Layer(b * (2 if skips and level else 1), a, 3, styles)
            for level, (a, b) in enumerate(reversed(list(zip(widths, widths[1:], strict=False))))
        )
        self.last = nn.Conv2d(width * (2 if skips else 1), spec.channels, KERNEL)
        if residual:
            nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Images, latent: Latents, reconstruction: Images | None = None) -> Latents:
        """Pictures of the size of ``images``, which is all that is looked at."""
        height, width = images.shape[-2:]
        fitted = _fitted(images)
        style = self._shares(images)
        x = self.stem(fitted, style)
        passed = [x]
        for layer in self.down:
            passed.append(x := layer(x, style))
        passed.pop()
        for block in self.blocks:
            x = block(x, style)
        for layer in self.up:
            x = layer(F.interpolate(x, scale_factor=2.0), style)
            other = passed.pop()
            x = torch.cat([x, other], dim=1) if self.skips else x
        made = self.last(F.pad(x, (KERNEL // 2,) * 4, mode="reflect"))[..., :height, :width].float()
        return images + made if self.residual else made.tanh()

    def _shares(self, images: Images) -> Float[Tensor, "_ styles"] | None:
        if self.styles == 1:
            return None
        if self.style is None:
            return images.new_full((1, self.styles), 1 / self.styles)
        return self.style.to(images)


class Norm(nn.Module):
    """Instance norm with a scale and a shift for each style, of which the shares are mixed."""

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(styles, channels))
        self.bias = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, x: Float[Tensor, "b c h w"], style: Float[Tensor, "_ styles"] | None) -> Float[Tensor, "b c h w"]:
        """The maps with the style's mean and deviation."""
        weight, bias = (each if style is None else style @ each for each in (self.weight, self.bias))
        normal = F.group_norm(x, x.shape[1])  # an instance norm that leaves channels last where they are
        return normal * weight[..., None, None] + bias[..., None, None]


class Layer(nn.Module):
    """Convolution with a mirrored edge, norm, and rectifier."""

    def __init__(
        self, source: int, target: int, kernel: int, styles: int, stride: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(source, target, kernel, stride, bias=False)  # the norm would take a bias away
        self.norm = Norm(target, styles)
        self.edge, self.active = kernel // 2, active

    def forward(
        self, x: Float[Tensor, "b source h w"], style: Float[Tensor, "_ styles"] | None
    ) -> Float[Tensor, "b target hh ww"]:
        """The maps of the next layer."""
        x = self.norm(self.convolution(F.pad(x, (self.edge,) * 4, mode="reflect")), style)
        return x.relu() if self.active else x


class Block(nn.Module):
    """Two layers, added to what they see."""

    def __init__(self, width: int, styles: int) -> None:
        super().__init__()
        self.first = Layer(width, width, 3, styles)
        self.second = Layer(width, width, 3, styles, active=False)

    def forward(self, x: Float[Tensor, "b c h w"], style: Float[Tensor, "_ styles"] | None) -> Float[Tensor, "b c h w"]:
        """Maps of the same size."""
        return x + self.second(self.first(x, style), style)


def _fitted(images: Images) -> Float[Tensor, "b c hh ww"]:
    """The pictures, mirrored at their lower and right edge to sides that can be halved and are not too short."""
    unit = 2**HALVINGS
    missing = [-side % unit if side > 2 * unit else 3 * unit - side for side in images.shape[-2:]]
    if not any(missing):
        return images
    fits = all(extra < side for extra, side in zip(missing, images.shape[-2:], strict=True))
    return F.pad(images, (0, missing[1], 0, missing[0]), mode="reflect" if fits else "replicate")
