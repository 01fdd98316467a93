"""Scored samples of the prior."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import chunks, stream

CHUNK = 1000  # latents are drawn in chunks of this size, so that how many images are made at a time changes nothing


class ScoredSamples:
    """Samples of a space with the scores of their images, kept once they are made.

    Spaces that are lifted from one another get the same images for the same seed.

    Arguments:
        count: Number of samples.
        seed: Other seeds, other samples.
        batch: Images that are drawn and scored at a time.
    """

    def __init__(self, count: int, seed: int, batch: int) -> None:
        self.count, self.seed, self.batch = count, seed, batch
        self._kept: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def __call__(
        self, space: AbstractSpace, score: Callable[[Tensor], Tensor]
    ) -> tuple[Float[Tensor, "n ..."], Float[Tensor, "n k"]]:
        """Latents and ``score(images)`` for each of them, on the CPU."""
        key = (space.name, space.generator.fingerprint())
        if key not in self._kept:
            rng = stream("samples to annotate", self.seed)
            latents = torch.cat([space.sample(size, rng) for size in chunks(self.count, CHUNK)])
            scores = torch.cat([score(space.decode(part)).cpu() for part in latents.split(self.batch)])
            self._kept[key] = latents.cpu(), scores.float()
        return self._kept[key]
