"""How well an encoder that is being trained reconstructs held-out images: numbers and pictures."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.data.base import AbstractData
from zstar.metrics.base import AbstractMetric

Invert = Callable[[Tensor], tuple[Tensor, Tensor]]  # images → their latents, and what these look like
COLUMNS = 8


def measure(
    data: AbstractData,
    invert: Invert,
    metrics: Mapping[str, AbstractMetric],
    distance: Callable[[Tensor, Tensor], Tensor],
    device: torch.device,
    size: int,
) -> dict[str, float]:
    """Mean of each metric over a data set, and of the distance to the latents where these are known."""
    values: dict[str, list[Tensor]] = {}
    for batch in data.batches(size):
        if not batch.ids:
            continue
        images = batch.images.to(device)
        latent, made = invert(images)
        found = {name: metric(made.clamp(-1, 1), images) for name, metric in metrics.items()}
        if "latent" in batch.extras:
            found["latent_distance"] = distance(latent, batch.extras["latent"].to(latent))
        for name, value in found.items():
            values.setdefault(name, []).extend([] if value is None else [value.cpu()])
    return {name: torch.cat(parts).double().mean().item() for name, parts in values.items() if parts}


def montage(data: AbstractData, invert: Invert, device: torch.device) -> Float[Tensor, "n c h w"]:
    """The first sixteen images, each row of eight with its reconstructions below."""
    images = data.read(range(min(2 * COLUMNS, len(data)))).images.to(device)
    images = images[: max(1, len(images) // COLUMNS) * COLUMNS]
    _, made = invert(images)
    pairs = zip(images.split(COLUMNS), made.split(COLUMNS), strict=True)
    return torch.cat([part for pair in pairs for part in pair])
