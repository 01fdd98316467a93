"""Reconstruction of held-out images by an encoder in training: numbers and pictures."""

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.data.base import AbstractData, Batch
from zstar.encoders.base import AbstractEncoder
from zstar.encoders.trained import TrainedEncoder
from zstar.metrics.base import AbstractMetric
from zstar.spaces.base import AbstractSpace
from zstar.tasks.degradation import Degradation
from zstar.tasks.mixing import companions

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


def show(batch: Batch, encoder: TrainedEncoder, degradation: Degradation) -> Float[Tensor, "b c h w"]:
    """What an encoder sees of a batch; one that knows several styles is told which each image is to have."""
    set_style(encoder.network, batch.extras)
    return degradation.shown({"image": batch.images, **companions(batch.extras)}, batch.ids)


def set_style(network: AbstractEncoder, extras: Mapping[str, Tensor]) -> None:
    """Tell a network of several styles which each of some images is to have, by their share of each.

    Raises:
        ValueError: There are as many styles as it has not; one sentence with both keys.
    """
    share, count = extras.get("style_share"), getattr(network, "styles", 1)
    if (1 if share is None else share.shape[1]) != count:
        given = "no" if share is None else share.shape[1]
        raise ValueError(
            f"encoder.styles: {count} and {given} pictures of data.styles; set encoder.styles to their number, or give "
            "one with data.style"
        )
    if count > 1:
        network.style = share


@torch.no_grad()
def measure(
    data: AbstractData,
    encoder: TrainedEncoder,
    space: AbstractSpace,
    metrics: Mapping[str, AbstractMetric],
    degradation: Degradation,
    size: int = 32,
) -> dict[str, float]:
    """Mean of each metric over a data set, of which the encoder is shown what a degradation leaves, and of the distance
    to the latents where these are known."""
    found = []
    for batch in data.batches(size):
        if not batch.ids:
            continue
        latent, image = reconstruct(encoder, space, show(batch, encoder, degradation))
        images = batch.images.to(image)
        measured = {name: metric(image.clamp(-1, 1), images) for name, metric in metrics.items()}
        if "latent" in batch.extras:
            measured["latent_distance"] = distance(space, latent, batch.extras["latent"].to(latent))
        found.append(measured)
    return means(found)


def means(batches: Iterable[Mapping[str, Tensor | None]]) -> dict[str, float]:
    """Mean over all images of what was measured of each, batch by batch; nothing of what is no number for any."""
    values: dict[str, list[Tensor]] = {}
    for measured in batches:
        for name, value in measured.items():
            values.setdefault(name, []).extend([] if value is None else [value.cpu()])
    return {name: torch.cat(parts).double().mean().item() for name, parts in values.items() if parts}


def montage(
    data: AbstractData, encoder: TrainedEncoder, space: AbstractSpace, degradation: Degradation
) -> Float[Tensor, "n c h w"]:
    """The first sixteen images, each row of eight with its reconstructions below; between them what the encoder is
    shown, where that is not all."""
    batch = data.read(range(min(2 * COLUMNS, len(data))))
    count = max(1, len(batch.ids) // COLUMNS) * COLUMNS
    shown = show(batch, encoder, degradation)
    images, shown, image = (each[:count] for each in (batch.images, shown, reconstruct(encoder, space, shown)[1]))
    kinds = [images, shown, image] if degradation.operators or degradation.shows != "image" else [images, image]
    rows = zip(*(kind.to(image).split(COLUMNS) for kind in kinds), strict=True)
    return torch.cat([part for row in rows for part in row])
