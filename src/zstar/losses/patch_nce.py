"""Contrastive distance between patches."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.config.constraints import POSITIVE, Within, require
from zstar.losses.base import AbstractLoss
from zstar.losses.maps import FeatureMaps
from zstar.losses.networks import unit_length


class PatchNCE(AbstractLoss):
    """How hard it is to find a patch of the target from the patch of the picture at the same place, among the target's
    other patches: the contrastive loss of CUT (Park et al. 2020, https://arxiv.org/abs/2007.15651).

    Per layer the cross-entropy −log softmax(q·k/τ) of the picture's features q, of length 1, with those k of the
    target, mean over places; then the mean over layers. What the target costs with itself is taken off, so that it
    costs nothing. Choose it where the picture may look different everywhere, as long as each of its parts stays what it
    was: translations between domains, restyling. CUT learns a projection of the features with the translator; here they
    are those of the network.

    Arguments:
        network, layers, size: As for :class:`zstar.losses.maps.FeatureMaps`.
        temperature: τ.
        patches: Places of each layer that are compared with each other; all where it has fewer.
        weight: λ, the factor of this loss in the objective.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
    """

    looks_around = True

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[int] | Sequence[str] | None = None,
        temperature: float = 0.07,
        patches: int = 256,
        weight: float = 1.0,
        target: str = "image",
        mask: str | None = "mask",
        size: int | None = None,
    ) -> None:
        super().__init__(weight, target, mask)
        require("loss.patch_nce", POSITIVE, temperature=temperature)
        require("loss.patch_nce", Within(2), patches=patches)
        self.maps = FeatureMaps(network, layers, size, "loss.patch_nce")
        self.temperature, self.patches = temperature, patches

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        return [unit_length(activation) for activation in self.maps(image)]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        return torch.stack([self._layer(q, k, weights) for q, k in zip(features, target, strict=True)]).mean(dim=0)

    def _layer(
        self, query: Float[Tensor, "b c h w"], key: Float[Tensor, "b c h w"], weights: Tensor | None
    ) -> Float[Tensor, " b"]:
        chosen = places(query.shape[-2] * query.shape[-1], self.patches, query.device)
        q, k = (each.flatten(2)[:, :, chosen].mT for each in (query, key))
        costs = self._costs(q, k) - self._costs(k, k)
        if weights is None:
            return costs.mean(dim=1)
        share = F.interpolate(weights, size=query.shape[-2:], mode="area").flatten(1)[:, chosen]
        return (costs * share).sum(dim=1) / share.sum(dim=1).clamp_min(1e-12)

    def _costs(self, q: Float[Tensor, "b n c"], k: Float[Tensor, "b n c"]) -> Float[Tensor, "b n"]:
        """The cross-entropy of finding each of n keys from its query."""
        logits = q @ k.mT / self.temperature
        return logits.logsumexp(dim=2) - logits.diagonal(dim1=1, dim2=2)


def places(count: int, most: int, device: torch.device) -> Int[Tensor, " n"]:
    """Places of a map with so many, spread evenly over it, each once; no random numbers and no copy to the device."""
    if count <= most:
        return torch.arange(count, device=device)
    step = next(s for s in range(round(count * (math.sqrt(5) - 1) / 2), count + 1) if math.gcd(s, count) == 1)
    return torch.arange(most, device=device) * step % count
