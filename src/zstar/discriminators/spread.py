"""Minibatch standard deviation: how a discriminator sees that generated images are all alike."""

import torch
from jaxtyping import Float
from torch import Tensor


def with_spread(x: Float[Tensor, "b c h w"], group: int) -> Float[Tensor, "b d h w"]:
    """Feature maps with the mean standard deviation within each group of neighbours as one more channel (Karras et al.
    2017, https://arxiv.org/abs/1710.10196).

    Arguments:
        x: Feature maps of a batch.
        group: Neighbours that are compared; 0 adds no channel, and of single images it is the same constant.

    Raises:
        ValueError: ``group`` does not divide the batch.
    """
    if not group:
        return x
    if len(x) % group:
        raise ValueError(f"discriminator.group: {group} does not divide a batch of {len(x)}; choose a divisor")
    groups = x.float().unflatten(0, (-1, group))
    spread = (groups.var(dim=1, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    channel = spread.repeat_interleave(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, channel.to(x.dtype)], dim=1)
