"""A code for each row of w_plus from a feature pyramid."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.config.constraints import Within, require
from zstar.encoders.base import AbstractEncoder, EncoderSpec, Images, Latents
from zstar.encoders.trunk import Trunk

# pSp gives rows 1–3 of 18 to the coarse map, 4–7 to the middle one, the others to the fine one.
COARSE, MIDDLE = 3 / 18, 7 / 18


class PSP(AbstractEncoder):
    """pSp's encoder (Richardson et al. 2021, https://arxiv.org/abs/2008.00951): a feature pyramid, one head per style.

    The choice for w_plus: coarse styles are read off the coarse map and fine ones off the fine map. A space with one
    code has one head, on the coarse map.

    Arguments:
        spec: Its images and latents.
        width: Channels at half size; they double with each halving, up to ``width_max``.
        blocks: Residual blocks per size.
        pyramid: Channels of the pyramid's maps and of the heads.
        around: The origin of the heads' codes. ``mean``: the prior's mean, as in pSp. ``first``: the first head's
            code to the mean and the others to the first row, as in e4e, where training that holds the differences
            short (``regularizer=[delta_norm]``) or opens them row by row (``task.widen_after``) keeps latents editable.
        input_size: Larger images are brought to this side first; pSp's is 256; null never.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        width: int = 32,
        width_max: int = 192,
        blocks: int = 2,
        pyramid: int = 64,
        around: Literal["mean", "first"] = "mean",
        input_size: int | None = None,
    ) -> None:
        super().__init__(spec)
        if around not in ("mean", "first"):
            raise ValueError(f"encoder.around: '{around}' is unknown; choose mean or first")
        require("encoder", Within(1), pyramid=pyramid)
        self.around = around
        self.trunk = Trunk(spec.resolution, spec.channels, width, width_max, blocks, input_size)
        widths, sizes = self.trunk.widths[-3:], self.trunk.sizes[-3:]
        self.lateral = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in widths)
        self.levels = [_level(row, self.rows, len(sizes)) for row in range(self.rows)]
        self.heads = nn.ModuleList(head(sizes[level], pyramid, self.width) for level in self.levels)

    def forward(self, images: Images, latent: Latents, reconstruction: Images | None = None) -> Latents:
        """Latents from the images alone."""
        maps = self.pyramid(self.trunk(images))
        codes = torch.stack([read(maps[level]) for read, level in zip(self.heads, self.levels, strict=True)], dim=1)
        if self.around == "first":
            codes = codes + codes[:, :1] * (torch.arange(self.rows, device=codes.device)[:, None] > 0)
        return self.place(codes)

    def pyramid(self, maps: list[Tensor]) -> list[Tensor]:
        """The three coarsest maps, each with the coarser ones added to it; fine to coarse."""
        merged: list[Tensor] = []
        for lateral, x in zip(reversed(self.lateral), reversed(maps[-3:]), strict=True):
            below = F.interpolate(merged[-1], size=x.shape[-2:], mode="bilinear", align_corners=False) if merged else 0
            merged.append(lateral(x) + below)
        return merged[::-1]


def head(size: int, width: int, code: int) -> nn.Sequential:
    """Strided convolutions from a map of ``size`` pixels to one vector, and from it to a code that begins at zero."""
    layers: list[nn.Module] = []
    while size > 1:
        layers += [nn.Conv2d(width, width, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
        size = (size + 1) // 2
    last = nn.Linear(width, code)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, nn.Flatten(), last)


def _level(row: int, rows: int, levels: int) -> int:
    """The map, counted fine to coarse, that a row is read from."""
    place = row / rows
    level = 2 if place < COARSE else 1 if place < MIDDLE else 0
    return max(0, levels - 3 + level)
