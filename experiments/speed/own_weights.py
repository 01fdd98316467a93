"""A batch in which each image has weights of its own: one image after the other, or all of them as zstar draws them.

    python experiments/speed/own_weights.py --batch 8

Seconds for a forward and a backward pass to all weights, of some generators at 64 pixels (Glow: 32), the best of some
rounds that take turns, and the ratio to one image after the other. Weights are random where none ship; they cost the
same.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from zstar.generators.base import AbstractGenerator
from zstar.generators.biggan import BigGAN
from zstar.generators.dcgan import DCGAN
from zstar.generators.glow import Glow
from zstar.generators.own_weights import APART
from zstar.generators.pggan import PGGAN
from zstar.generators.stylegan import StyleGAN
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.vae import VAE
from zstar.generators.vqvae2 import VQVAE2
from zstar.stats.streams import seed_global, stream

NETWORKS: dict[str, Callable[[], AbstractGenerator]] = {
    "StyleGAN2, the one that ships": lambda: StyleGAN2(checkpoint="cottages64"),
    "DCGAN": DCGAN,
    "PGGAN": lambda: PGGAN(resolution=64, channel_base=2048, channel_max=96),
    "BigGAN": lambda: BigGAN(resolution=64, classes=8, width=8),
    "StyleGAN": lambda: StyleGAN(resolution=64, channel_base=2048, channel_max=96),
    "VAE": VAE,
    "VQ-VAE-2": VQVAE2,
    "Glow": lambda: Glow(resolution=32),
}


def fastest(ways: Sequence[Callable[[], Tensor]], leaves: Sequence[Tensor], rounds: int) -> list[float]:
    """Seconds of each way's fastest round of a forward and a backward pass."""
    times = []
    for _ in range(rounds + 1):  # the first one finds out what torch can do, and is slow
        for work in ways:
            began = time.perf_counter()
            torch.autograd.grad(work().square().sum(), leaves, allow_unused=True)
            times.append(time.perf_counter() - began)
    return [min(times[len(ways) + place :: len(ways)]) for place in range(len(ways))]


def compare(name: str, generator: AbstractGenerator, count: int, rounds: int) -> None:
    """Print the line of a network."""
    space = "w" if "w" in generator.spaces else generator.drawn
    latent = generator.sample(count, stream("latents of a study of own weights", 0), space=space)
    free = generator.free_weights(space)
    weights = {name: value.new_zeros(count, *value.shape).requires_grad_() for name, value in free.items()}

    def row(i: int) -> Tensor:
        own = {name: value[i : i + 1] for name, value in weights.items()}
        return generator.synthesize(latent[i : i + 1], space, weights=own)

    ways = [
        lambda: torch.cat([row(i) for i in range(count)]),
        lambda: generator.synthesize(latent, space, weights=weights),
    ]
    alone, both = fastest(ways, list(weights.values()), rounds)
    way = "layers that take a batch" if generator.batched_weights else "`torch.func.vmap`"
    way = "one after the other" if generator in APART else way
    numbers = sum(value[0].numel() for value in weights.values())
    print(f"| {name} | {numbers / 1e6:.2f} M | {way} | {alone:.3f} | {both:.3f} | {both / alone:.2f} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=NETWORKS, metavar="NETWORK")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seed_global("weights of a study of own weights", 0)
    print(f"{given.batch} images:\n\n| network | free weights | way | one after the other, s | this way, s | ratio |")
    print("|---|---|---|---|---|---|")
    for name in given.networks:
        compare(name, NETWORKS[name](), given.batch, given.rounds)


if __name__ == "__main__":
    main()
