"""The two networks of StyleGAN2: mapping (z → w) and synthesis (styles → image), under their official names."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.generators.stylegan2_layers import EqualLinear, SkipConv, StyledConv, ToRGB, upsample

ARCHITECTURES = ("skip", "resnet", "orig")


def unit_second_moment(x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    """Scale each row to a root mean square of one."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class MappingNetwork(nn.Module):
    """z (and a class, if any) → w. In training mode it also follows the mean of w in ``w_avg``."""

    w_avg: Tensor

    def __init__(
        self, z_dim: int, c_dim: int, w_dim: int, layers: int, lr_multiplier: float = 0.01, w_avg_beta: float = 0.995
    ) -> None:
        super().__init__()
        self.layers = layers
        self.w_avg_beta = w_avg_beta
        if c_dim:
            self.embed = EqualLinear(c_dim, w_dim)
        for i in range(layers):
            inputs = w_dim if i else z_dim + (w_dim if c_dim else 0)
            self.add_module(f"fc{i}", EqualLinear(inputs, w_dim, lr_multiplier, activate=True))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Float[Tensor, "b z"], label: Float[Tensor, "_ c"] | None = None) -> Float[Tensor, "b w"]:
        x = unit_second_moment(z)
        if label is not None:
            x = torch.cat([x, unit_second_moment(self.embed(label)).expand(len(z), -1)], dim=1)
        for i in range(self.layers):
            x = self.get_submodule(f"fc{i}")(x)
        if self.training:
            with torch.no_grad():
                self.w_avg.lerp_(x.mean(dim=0), 1 - self.w_avg_beta)
        return x


class SynthesisBlock(nn.Module):
    """All layers of one resolution. ``features`` is where its output can be read and edited."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        resolution: int,
        colours: int,
        architecture: str,
        torgb: bool,
        fir: Tensor,
        conv_clamp: float | None,
    ) -> None:
        super().__init__()
        self.register_buffer("resample_filter", fir.clone())
        self.residual = architecture == "resnet" and inputs > 0
        if inputs == 0:
            self.const = nn.Parameter(torch.randn(outputs, resolution, resolution))
        else:
            self.conv0 = StyledConv(inputs, outputs, w_dim, resolution, True, fir, conv_clamp)
        self.conv1 = StyledConv(outputs, outputs, w_dim, resolution, False, fir, conv_clamp)
        if torgb:
            self.torgb = ToRGB(outputs, colours, w_dim, conv_clamp)
        if self.residual:
            self.skip = SkipConv(inputs, outputs, fir)
        self.features = nn.Identity()
        self.parts = [name for name in ("conv0", "conv1", "torgb") if hasattr(self, name)]

    def forward(
        self, x: Tensor | None, image: Tensor | None, styles: dict[str, Tensor], noise: dict[str, Tensor | None]
    ) -> tuple[Tensor, Tensor | None]:
        """Features and image of the coarser blocks, styles and noise by layer name → features and image here."""
        if x is None:
            x = self.const.expand(len(styles["conv1"]), -1, -1, -1)
        gain = math.sqrt(0.5) if self.residual else 1.0
        shortcut = self.skip(x, gain) if self.residual else None
        if "conv0" in self.parts:
            x = self.conv0(x, styles["conv0"], noise["conv0"])
        x = self.conv1(x, styles["conv1"], noise["conv1"], gain)
        x = self.features(x if shortcut is None else shortcut + x)
        if image is not None:
            image = upsample(image, self.resample_filter)
        if "torgb" in self.parts:
            colours = self.torgb(x, styles["torgb"])
            image = colours if image is None else image + colours
        return x, image


class SynthesisNetwork(nn.Module):
    """Styles → image. ``style_sizes`` maps each layer, such as ``b8.conv0``, to the length of its style.

    Arguments:
        channels: Feature channels of each resolution, from 4 up to that of the image.
    """

    def __init__(
        self,
        channels: Mapping[int, int],
        w_dim: int,
        colours: int,
        architecture: str,
        fir: Tensor,
        conv_clamp: float | None,
    ) -> None:
        super().__init__()
        last = max(channels)
        self.names = [f"b{r}" for r in channels]
        self.style_sizes: dict[str, int] = {}
        self.style_rows: dict[str, int] = {}  # which row of w_plus feeds a layer
        row, inputs = 0, 0
        for r, outputs in channels.items():
            torgb = architecture == "skip" or r == last
            block = SynthesisBlock(inputs, outputs, w_dim, r, colours, architecture, torgb, fir, conv_clamp)
            self.add_module(f"b{r}", block)
            for offset, part in enumerate(block.parts):
                self.style_sizes[f"b{r}.{part}"] = inputs if part == "conv0" else outputs
                self.style_rows[f"b{r}.{part}"] = row + offset
            row += len([part for part in block.parts if part != "torgb"])
            inputs = outputs
        self.num_ws = row + 1

    def styles(self, w_plus: Float[Tensor, "b n w"]) -> dict[str, Tensor]:
        """The style of every layer, by its name."""
        return {
            name: self.get_submodule(name).affine(w_plus[:, row].contiguous()) for name, row in self.style_rows.items()
        }

    def forward(self, styles: dict[str, Tensor], noise: str | dict[str, Tensor]) -> Float[Tensor, "b c h w"]:
        x = image = None
        for name in self.names:
            block = self.get_submodule(name)
            mine = {part: styles[f"{name}.{part}"] for part in block.parts}
            maps = {}
            for part in block.parts:
                if part != "torgb":
                    mode = noise if isinstance(noise, str) else noise[f"{name}.{part}"]
                    maps[part] = block.get_submodule(part).noise(mode, len(mine[part]))
            x, image = block(x, image, mine, maps)
        return image
