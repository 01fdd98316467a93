"""Regions of an image: the classes of an annotator, or clusters of activations."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.annotators.load import load_annotator
from zstar.directions.catalogue import batches
from zstar.directions.clusters import nearest_centre, spherical_kmeans
from zstar.generators.stylegan2 import StyleGAN2
from zstar.stats.streams import stream

KEY, PIXELS = "direction.local", 20_000

Members = Callable[[Tensor, dict[str, Tensor]], Tensor]
"""Images, and feature layers by name, → the part of each pixel that belongs to each region, [b, k, h, w]."""


def by_class(generator: StyleGAN2, annotator: str) -> tuple[list[str], Members]:
    """The annotator's classes, and a function that finds them in images.

    Raises:
        ValueError: The file is no annotator's, or its images are not those that the generator makes.
    """
    network, vocabulary = load_annotator(annotator)
    name, fix = f"{KEY}.annotator: {annotator}", "set it to null for clusters"
    network.require_images(generator.channels, generator.resolution, name, fix)
    network.to(generator.w_avg.device)

    def members(images: Tensor, features: dict[str, Tensor]) -> Tensor:
        return one_hot(network(images.clamp(-1, 1)).logits.argmax(dim=1), len(vocabulary.classes))

    return list(vocabulary.classes), members


@torch.no_grad()
def by_cluster(generator: StyleGAN2, layer: str, clusters: int, samples: int, seed: int) -> tuple[list[str], Members]:
    """Clusters of a layer's activations, by their numbers, and a function that finds them in that layer.

    Raises:
        ValueError: There is no such layer.
    """
    generator.layer(layer)  # says which there are
    each, rng, vectors = -(-PIXELS // samples), stream("pixels of clusters", seed), []
    for latents in batches(generator, samples, seed):
        with generator.reading(layer) as features:
            generator.synthesize(latents, generator.drawn)
        pixels = features[layer].movedim(1, -1).flatten(0, 2).cpu()
        vectors.append(pixels[torch.randperm(len(pixels), generator=rng)[: each * len(latents)]])
    centres = spherical_kmeans(torch.cat(vectors), clusters, seed)

    def members(images: Tensor, features: dict[str, Tensor]) -> Tensor:
        return one_hot(nearest_centre(features[layer], centres), clusters)

    return [str(number) for number in range(clusters)], members


def one_hot(regions: Tensor, count: int) -> Float[Tensor, "b k h w"]:
    """Numbers of regions [b, h, w] → 1 in the channel of each."""
    return F.one_hot(regions, count).movedim(-1, 1).float()
