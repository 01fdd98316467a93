"""Feature maps and images of v, also where each image has weights of its own."""

from collections.abc import Collection, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Variables, kinds_of

MAPS = ("features", "factors")
CHANGES = ("weights", *MAPS)


def read(
    generator: AbstractGenerator, v: Variables, space: str, noise: str, layers: Sequence[str]
) -> tuple[dict[str, Float[Tensor, "b _ _ _"]], Float[Tensor, "b c h w"]]:
    """The output of each layer, and the images; differentiable in ``v``.

    Where the layers take no batch of weights, one image is drawn after the other.
    """
    rows = [slice(None)]
    if "weights" in kinds_of(v) and not generator.batched_weights:
        rows = [slice(i, i + 1) for i in range(len(v["latent"]))]
    maps: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    images = []
    for row in rows:
        with generator.reading(*layers) as seen:
            images.append(generator.render({name: value[row] for name, value in v.items()}, space, noise))
        for layer in layers:
            maps[layer].append(seen[layer])
    return {layer: torch.cat(parts) for layer, parts in maps.items()}, torch.cat(images)


@torch.no_grad()
def map_shapes(generator: AbstractGenerator, layers: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Channels, height and width of the output of each layer, read off a synthesis.

    Raises:
        ValueError: There is no such layer.
    """
    latent = generator.bring(torch.zeros(1, *generator.shape(generator.drawn)))
    with generator.reading(*layers) as seen, generator.conditioned(generator.any_class):
        generator.synthesize(latent, generator.drawn)
    return {layer: tuple(seen[layer].shape[1:]) for layer in layers}


def unchanged(v: Variables, kinds: Collection[str] = CHANGES) -> dict[str, Tensor]:
    """v without what images change of the generator, or without the changes of some kinds."""
    return {name: value for name, value in v.items() if name.partition("/")[0] not in kinds}
