"""The random numbers of exploration: a stream for each image."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.optimizers.base import AbstractOptimizer

AHEAD, AHEAD_NUMBERS = 32, 2**24  # steps whose noise is drawn at once, as each copy makes a GPU wait for the host


def normals(rngs: Sequence[torch.Generator], latent: Float[Tensor, "b ..."]) -> Iterator[Float[Tensor, "b ..."]]:
    """Standard normal numbers in the shape of ``latent``, anew for each step, each image's from its own generator."""
    ahead = max(1, min(AHEAD, AHEAD_NUMBERS // latent.numel()))
    while True:
        steps = [[torch.randn(latent.shape[1:], generator=rng) for rng in rngs] for _ in range(ahead)]
        yield from torch.stack([torch.stack(step) for step in steps]).to(latent.device)


def require_stochastic(optimizer: AbstractOptimizer, key: str) -> None:
    """Refuse noise, of the strength ``key``, with an optimizer that compares values of different steps."""
    if not optimizer.stochastic:
        name = type(optimizer).__name__
        fix = f"{name} needs the same objective at every step; set it to 0 or take optimizer=adam"
        raise ValueError(f"{key}: {fix}")
