"""Reconstruction of held-out images by an encoder in training: numbers and pictures."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.data.base import AbstractData
from zstar.encoders.trained import TrainedEncoder
from zstar.metrics.base import AbstractMetric
from zstar.spaces.base import AbstractSpace

COLUMNS = 8


@torch.no_grad()
def reconstruct(
    encoder: TrainedEncoder, space: AbstractSpace, images: Float[Tensor, "b c h w"]
) -> tuple[Tensor, Tensor]:
    """The latents of images, and their reconstructions."""
    space.generator.require_size(images)
    latent = encoder(space, images.to(encoder.network.mean.device))[-1]
    return latent, space.decode(latent)


def distance(
    space: AbstractSpace, latent: Float[Tensor, "b ..."], known: Float[Tensor, "b ..."]
) -> Float[Tensor, " b"]:
    """Mean over coordinates of the squared distance, in units of the prior's spread²."""
    return ((latent - known) / max(space.spread, 1e-12)).square().flatten(1).mean(dim=1)


@torch.no_grad()
def measure(
    data: AbstractData,
    encoder: TrainedEncoder,
    space: AbstractSpace,
    metrics: Mapping[str, AbstractMetric],
    size: int = 32,
) -> dict[str, float]:
    """Mean of each metric over a data set, and of the distance to the latents where these are known."""
    values: dict[str, list[Tensor]] = {}
    for batch in data.batches(size):
        if not batch.ids:
            continue
        latent, image = reconstruct(encoder, space, batch.images)
        images = batch.images.to(image)
        measured = {name: metric(image.clamp(-1, 1), images) for name, metric in metrics.items()}
        if "latent" in batch.extras:
            measured["latent_distance"] = distance(space, latent, batch.extras["latent"].to(latent))
        for name, value in measured.items():
            values.setdefault(name, []).extend([] if value is None else [value.cpu()])
    return {name: torch.cat(parts).double().mean().item() for name, parts in values.items() if parts}


def montage(data: AbstractData, encoder: TrainedEncoder, space: AbstractSpace) -> Float[Tensor, "n c h w"]:
    """The first sixteen images, each row of eight with its reconstructions below."""
    images = data.read(range(min(2 * COLUMNS, len(data)))).images
    images = images[: max(1, len(images) // COLUMNS) * COLUMNS]
    image = reconstruct(encoder, space, images)[1]
    pairs = zip(images.to(image).split(COLUMNS), image.split(COLUMNS), strict=True)
    return torch.cat([part for pair in pairs for part in pair])
