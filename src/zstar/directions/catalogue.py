"""Contributions of style channels to regions of an image."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.generators.stylegan2 import StyleGAN2
from zstar.stats.streams import stream

BATCH = 32


class Regions:
    """Sums over samples, for the contribution of each style channel to each region.

    The style of a layer scales the channels that go *into* its convolution, so the activations looked at are those.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, inputs: dict[str, Tensor], regions: Float[Tensor, "b k h w"]) -> None:
        """One more batch: the inputs of each layer, and the part of each pixel that belongs to each region."""
        for name, x in inputs.items():
            # Regions are finer than most layers: a coarse pixel belongs to each in the part that it covers of it.
            u = F.adaptive_avg_pool2d(regions, x.shape[-2:]).double()
            x = x.double()
            parts = [torch.einsum("bkhw,bchw->kc", u, power) for power in (torch.ones_like(x), x, x.square())]
            self.sums[name] = self.sums.get(name, 0.0) + torch.stack(parts).cpu()

    def shares(self, name: str, chosen: Sequence[int]) -> Float[Tensor, " c"]:
        """Activity of a layer's channels in some regions together beside that elsewhere, from 0 to 1; ½ for the same.

        Collins et al. 2020, eq. 2: squared activations, of zero mean and unit variance for each channel, summed over
        a region. Here they are averaged over it and put in proportion to the average outside, so that a small region
        is not taken for one that nothing happens in.
        """
        pixels, first, second = self.sums[name]
        mean = first.sum(dim=0) / pixels.sum(dim=0)
        energy = second - 2 * mean * first + mean.square() * pixels
        rows = list(chosen)
        inside = energy[rows].sum(dim=0) / pixels[rows].sum(dim=0).clamp_min(1e-6)
        rest, area = energy.sum(dim=0) - energy[rows].sum(dim=0), pixels.sum(dim=0) - pixels[rows].sum(dim=0)
        outside = rest / area.clamp_min(1e-6)
        return (inside / (inside + outside).clamp_min(1e-12)).float()


@torch.no_grad()
def catalogue(
    generator: StyleGAN2,
    members: Callable[[Tensor, dict[str, Tensor]], Tensor],
    layers: list[str],
    samples: int,
    seed: int,
    read: str | None = None,
) -> Regions:
    """Contributions over samples of the prior.

    Arguments:
        members: Images, and feature layers by name, → the part of each pixel that belongs to each region, [b, k, h, w].
        layers: Names of styles.
        read: A feature layer that ``members`` looks at.
    """
    regions = Regions()
    for latents in batches(generator, samples, seed):
        with inputs_of(generator, layers) as inputs, generator.reading(*[read] if read else []) as features:
            images = generator.synthesize(latents, generator.drawn)
        regions.add(inputs, members(images, features))
    return regions


def batches(generator: StyleGAN2, samples: int, seed: int) -> Iterator[Tensor]:
    """Samples of the prior, a few at a time."""
    rng = stream("samples of regions", seed)
    for start in range(0, samples, BATCH):
        yield generator.sample(min(BATCH, samples - start), rng)


@contextmanager
def inputs_of(generator: StyleGAN2, layers: list[str]) -> Iterator[dict[str, Tensor]]:
    """Within the context, each synthesis stores the inputs of the convolutions of these styles in the dict."""
    inputs: dict[str, Tensor] = {}
    handles = [
        generator.synthesis.get_submodule(name).register_forward_pre_hook(
            lambda _m, values, name=name: inputs.__setitem__(name, values[0])
        )
        for name in layers
    ]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()
