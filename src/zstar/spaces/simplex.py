"""Mixtures: shares that are not negative and together 1."""

import torch
from jaxtyping import Float
from torch import Tensor


def to_simplex(shares: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """The nearest mixtures (Duchi et al., 2008, https://doi.org/10.1145/1390156.1390191): what is left of the shares
    when all are lowered alike until those above zero are together 1."""
    falling = shares.sort(dim=1, descending=True).values
    excess = (falling.cumsum(dim=1) - 1) / torch.arange(1, shares.shape[1] + 1, device=shares.device)
    kept = (falling > excess).sum(dim=1, keepdim=True)
    return (shares - excess.gather(1, kept - 1)).clamp_min(0)
