"""Sets of units, and what switching them on and off makes of v."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from zstar.generators.variables import Variables


@dataclass(frozen=True)
class UnitSet:
    """Units (channels) of one feature layer that together make something appear or disappear.

    Attributes:
        layer: Name of the layer.
        shape: Channels, height and width of its map.
        units: Their numbers, ``[k]``.
        share: How far each of them is moved at strength 1, α in [0, 1], ``[k]``.
        present: The value that each is moved towards by positive strengths: its mean where the thing is, ``[k]``.
        absent: Likewise by negative ones: zero, or its mean where the thing is not, ``[k]``.
        share_off: How far each is moved at strength −1, where that is not ``share``: what removes a thing need not be
            what makes it appear.
    """

    layer: str
    shape: tuple[int, int, int]
    units: Int64[Tensor, " k"]
    share: Float[Tensor, " k"]
    present: Float[Tensor, " k"]
    absent: Float[Tensor, " k"]
    share_off: Float[Tensor, " k"] | None = None

    def change(
        self, v: Variables, strength: Float[Tensor, " b"], mask: Float[Tensor, "_ 1 _ _"] | None = None
    ) -> dict[str, Tensor]:
        """v with the units moved: x ← (1 − |s|·α·mask)·x + |s|·α·mask·value, after what v does to the map already.

        It becomes part of ``features/<layer>`` and ``factors/<layer>``, so a change of weights, of noise and of the map
        itself stays. Strength 0 changes nothing, bit for bit; differentiable in ``strength`` and the shares.

        Arguments:
            v: The images.
            strength: From −1, as if it were not there, to 1, as where it is, an image's own each.
            mask: Where, in [0, 1], of any size, one for all images or one each; ``None`` is everywhere.
        """
        latent = v["latent"]
        strength = strength.to(latent).view(-1, 1, 1, 1)
        where = latent.new_ones(1, 1, 1, 1) if mask is None else on_grid(mask.to(latent), self.shape[1:])
        on, off = (self._spread(share, latent) for share in (self.share, self._off))
        amount = strength.abs() * torch.where(strength < 0, off, on) * where
        value = torch.where(strength < 0, self._spread(self.absent, latent), self._spread(self.present, latent))
        none = latent.new_zeros(len(latent), *self.shape)
        factor, shift = (v.get(f"{kind}/{self.layer}", none).to(latent) for kind in ("factors", "features"))
        moved = {
            f"factors/{self.layer}": (1 + factor) * (1 - amount) - 1,
            f"features/{self.layer}": shift * (1 - amount) + amount * value,
        }
        before = {f"factors/{self.layer}": factor, f"features/{self.layer}": shift}
        return {**v, **{name: torch.where(strength == 0, before[name], moved[name]) for name in moved}}

    @property
    def _off(self) -> Float[Tensor, " k"]:
        return self.share if self.share_off is None else self.share_off

    def _spread(self, values: Float[Tensor, " k"], like: Tensor) -> Float[Tensor, "1 c 1 1"]:
        """A value for each unit → one for each channel of the layer, zero for the others."""
        none = like.new_zeros(self.shape[0])
        return none.index_put((self.units.to(like.device),), values.to(like)).view(1, -1, 1, 1)


def on_grid(mask: Float[Tensor, "b 1 _ _"], size: tuple[int, int]) -> Float[Tensor, "b 1 h w"]:
    """A mask on the grid of a layer: the share of each location that it covers."""
    if tuple(mask.shape[-2:]) == size:
        return mask
    if mask.shape[-2] % size[0] or mask.shape[-1] % size[1]:  # a coarser one, or one that does not divide
        return F.interpolate(mask, size=size, mode="bilinear", align_corners=False, antialias=True)
    return F.adaptive_avg_pool2d(mask, size)
