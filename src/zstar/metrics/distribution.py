"""Distances between sets of images, and other numbers of a set."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from zstar.stats.comparison import mean_interval
from zstar.stats.streams import stream


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Float[Tensor, " n"], seed: int = 0, draws: int = 1000) -> "Estimate":
        """Mean of independent values, with its interval."""
        plain = values.double().cpu().numpy()
        return cls(float(plain.mean()), *mean_interval(plain, draws=draws, seed=seed))


def pooled(features: list[Tensor]) -> Float[Tensor, "b d"]:
    """One vector per image: mean over space of every map, and of the coarsest one over each of its quarters."""
    quarters = torch.nn.functional.adaptive_avg_pool2d(features[-1], 2).flatten(1)
    return torch.cat([feature.mean(dim=(2, 3)) for feature in features] + [quarters], dim=1).float()


def squared_mmd(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Unbiased squared maximum mean discrepancy under the cubic kernel (x·y / d + 1)³; negative by chance near 0."""
    inner, n, m = x.shape[1], len(x), len(y)
    xx, yy, xy = ((a @ b.T / inner + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    return (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1)) - 2 * xy.mean()


def kid(
    real: Float[Tensor, "n d"], made: Float[Tensor, "m d"], subsets: int = 50, size: int = 500, seed: int = 0
) -> Estimate:
    """Kernel inception distance (Bińkowski et al., https://arxiv.org/abs/1801.01401) on features of any network.

    Features are standardised by the mean and deviation of the real ones, so that no scale of the network dominates.
    The value is the mean over random subsets, the interval covers 95 % of the subsets. Numbers of different networks,
    subset sizes or standardisations can't be compared.
    """
    mean, deviation = real.mean(dim=0), real.std(dim=0).clamp_min(1e-6)
    real, made = ((x - mean) / deviation for x in (real, made))
    rng, size = stream("subsets of kid", seed), min(size, len(real), len(made))
    values = torch.stack(
        [
            squared_mmd(
                real[torch.randperm(len(real), generator=rng)[:size]],
                made[torch.randperm(len(made), generator=rng)[:size]],
            )
            for _ in range(subsets)
        ]
    )
    values = values.cpu()
    low, high = values.quantile(values.new_tensor([0.025, 0.975])).tolist()
    return Estimate(values.mean().item(), low, high)


def shares(labels: Int64[Tensor, "n h w"], classes: int) -> Float[Tensor, "n classes"]:
    """Share of each image's pixels that carry each class."""
    return torch.stack([(labels == k).float().mean(dim=(1, 2)) for k in range(classes)], dim=1)


def presence(share: Float[Tensor, "n classes"], least: float = 0.002) -> Float[Tensor, " classes"]:
    """Share of images in which a class covers at least ``least`` of the pixels (0.002: 8 pixels of 64×64)."""
    return (share >= least).float().mean(dim=0)


def diversity(
    images: Float[Tensor, "n c h w"],
    distance: Callable[[Tensor, Tensor], Tensor],
    pairs: int = 1000,
    seed: int = 0,
    batch: int = 100,
) -> Estimate:
    """Mean distance between the two images of random pairs; ``distance`` gives one value per image."""
    rng = stream("pairs of images", seed)
    first = torch.randint(len(images), (pairs,), generator=rng)
    second = (first + torch.randint(1, len(images), (pairs,), generator=rng)) % len(images)
    values = [distance(images[a], images[b]) for a, b in zip(first.split(batch), second.split(batch), strict=True)]
    return Estimate.of(torch.cat(values), seed)
