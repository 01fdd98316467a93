"""Spherical k-means: clusters of vectors by their angles."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from zstar.stats.streams import stream


def spherical_kmeans(
    vectors: Float[Tensor, "n d"], clusters: int, seed: int = 0, steps: int = 50
) -> Float[Tensor, "{clusters} d"]:
    """Unit centres that the vectors' directions gather around.

    Each vector goes to the centre with the largest cosine, and each centre becomes the mean of its unit vectors, scaled
    to length 1 (Dhillon & Modha 2001, https://doi.org/10.1023/A:1007612920971), until nothing changes. The first
    centres are vectors far from one another, as in k-means++; a centre that loses all its vectors starts again at the
    vector that fits worst.
    """
    if clusters > len(vectors):
        raise ValueError(f"clusters: {clusters} are more than the {len(vectors)} vectors; lower it")
    unit, rng = F.normalize(vectors, dim=1), stream("first centres", seed)
    centres = unit[torch.randint(len(unit), (1,), generator=rng)]
    while len(centres) < clusters:
        far = (1 - (unit @ centres.T).amax(dim=1)).clamp_min(1e-12)
        centres = torch.cat([centres, unit[torch.multinomial(far, 1, generator=rng)]])
    before = None
    for _ in range(steps):
        cosine, members = (unit @ centres.T).max(dim=1)
        if before is not None and torch.equal(members, before):
            break
        before = members
        sums = torch.zeros_like(centres).index_add_(0, members, unit)
        empty = torch.bincount(members, minlength=clusters) == 0
        sums[empty] = unit[cosine.argsort()[: int(empty.sum())]]
        centres = F.normalize(sums, dim=1)
    return centres


def nearest_centre(maps: Float[Tensor, "b d h w"], centres: Float[Tensor, "k d"]) -> Int[Tensor, "b h w"]:
    """For each pixel the centre with the largest cosine."""
    return torch.einsum("bdhw,kd->bkhw", maps, centres.to(maps)).argmax(dim=1)
