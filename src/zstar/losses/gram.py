"""Distance between textures."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.losses.base import AbstractLoss
from zstar.losses.maps import FeatureMaps
from zstar.losses.palette import give_colours

Normalization = Literal["gatys", "elements", "locations", "relative"]


class Gram(AbstractLoss):
    """Squared distance between Gram matrices of feature maps: the style loss (Gatys et al. 2016,
    https://doi.org/10.1109/CVPR.2016.265).

    G = F Fᵀ of a map F [c, h·w] says which features go together, wherever they are. Published weights are of other
    normalisations, which differ by factors of thousands:

    * ``gatys``: Σ (ΔG/hw)² / 4c², as the paper for maps of one size;
    * ``elements``: the mean of (ΔG/chw)², as neural-style, PyTorch's tutorial and fast neural style have it;
    * ``locations``: the mean of (ΔG/hw)², four times ``gatys``;
    * ``relative``: Σ(ΔG)² / ΣG² of the style, which is 1 for a picture that has no features, whatever the network and
      the layer: weights that are found with one network do for another.

    Images and styles may differ in size. A texture has no places: a mask can't be followed here and is refused.

    Arguments:
        network, layers, size: As for :class:`zstar.losses.maps.FeatureMaps`.
        shares: Weight of each layer; 1 for all if not given. The value is their sum.
        normalization: ``gatys``, ``elements``, ``locations`` or ``relative``.
        weight: λ, the factor of this loss in the objective.
        palette: Name of a target whose colours, by their mean and covariance, the style is given first, so that those
            of the content are kept (Gatys et al. 2016, https://arxiv.org/abs/1606.05897); ``None`` keeps the style's.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[int] | Sequence[str] | None = None,
        shares: Sequence[float] | None = None,
        normalization: Normalization = "gatys",
        weight: float = 1.0,
        target: str = "style",
        mask: str | None = None,
        size: int | None = None,
        palette: str | None = None,
    ) -> None:
        super().__init__(weight, target, mask)
        self.maps = FeatureMaps(network, layers, size, "loss.gram")
        self.shares, self.normalization = None if shares is None else list(shares), normalization
        self.palette = palette
        if normalization not in get_args(Normalization):
            names = ", ".join(get_args(Normalization))
            raise ValueError(f"loss.gram.normalization: there is no '{normalization}'; choose one of {names}")
        if self.shares is not None and self.maps.layers is not None and len(self.shares) != len(self.maps.layers):
            raise ValueError(
                f"loss.gram.shares: {len(self.shares)} for {len(self.maps.layers)} layers; give one for each"
            )

    @property
    def pictures(self) -> dict[str, str]:
        return super().pictures | ({} if self.palette is None else {"palette": self.palette})

    def target_features(self, pictures: Float[Tensor, "b k h w"]) -> list[Tensor]:
        """G/hw of each layer of the style, in the colours of the palette where there is one."""
        return self.look(pictures if self.palette is None else give_colours(*pictures.chunk(2, dim=1)))

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """G/hw of each layer, ``[b, c, c]``."""
        return [gram(activation) for activation in self.maps(image)]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        if weights is not None:
            raise ValueError("loss: a Gram matrix is of a whole image and can't follow a mask; give it mask=null")
        shares = [1.0] * len(features) if self.shares is None else self.shares
        if len(shares) != len(features):
            raise ValueError(f"loss.gram.shares: {len(shares)} for {len(features)} layers; give one for each")
        distances = [
            share * self._scale(b) * (a - b).square().mean(dim=(1, 2))
            for share, a, b in zip(shares, features, target, strict=True)
        ]
        return torch.stack(torch.broadcast_tensors(*distances)).sum(dim=0)

    def _scale(self, wanted: Float[Tensor, "b c c"]) -> float | Float[Tensor, " b"]:
        if self.normalization == "relative":
            return 1 / wanted.square().mean(dim=(1, 2)).clamp_min(1e-12)
        return {"gatys": 0.25, "elements": wanted.shape[-1] ** -2, "locations": 1.0}[self.normalization]


def gram(activation: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c c"]:
    """Mean over locations of the products of all pairs of channels."""
    flat = activation.flatten(2)
    return flat @ flat.mT / flat.shape[-1]
