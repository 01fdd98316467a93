"""A batch in which each image has weights of its own: one image after the other, or all at once by torch.func.vmap.

    python experiments/speed/own_weights.py --batch 8

Seconds for a forward and a backward pass to all weights, of a DCGAN and of StyleGAN2 at 64 pixels, the best of some
rounds in one run, and the ratio to one image after the other. zstar takes the layers' own way for StyleGAN2, which take
a batch of parameters, and one image after the other for networks that it does not know.
"""

import argparse
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from zstar.generators.stylegan2 import StyleGAN2
from zstar.stats.streams import seed_global, stream


class DCGAN(nn.Module):
    """The generator of Radford et al. 2015 at 64 pixels, without its statistics of batches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = [100, 8 * width, 4 * width, 2 * width, width, 3]
        layers: list[nn.Module] = []
        for place, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, *((1, 0) if place == 0 else (2, 1))), nn.ReLU()]
        self.body = nn.Sequential(*layers[:-1], nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Latents [b, 100, 1, 1] → images [b, 3, 64, 64]."""
        return self.body(z)


def best(work: Callable[[], Tensor], leaves: Mapping[str, Tensor], rounds: int) -> float:
    """Seconds of the fastest round of a forward and a backward pass."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        torch.autograd.grad(work().square().sum(), list(leaves.values()), allow_unused=True)
        times.append(time.perf_counter() - began)
    return min(times)


def compare(name: str, network: nn.Module, latent: Tensor, rounds: int, own: Callable[..., Tensor] | None) -> None:
    """Print the lines of a network."""
    count = len(latent)
    weights = {n: p.detach().expand(count, *p.shape).clone().requires_grad_() for n, p in network.named_parameters()}

    def one(values: Mapping[str, Tensor], z: Tensor) -> Tensor:
        return functional_call(network, dict(values), (z[None],))[0]

    def loop() -> Tensor:
        return torch.stack([one({n: value[i] for n, value in weights.items()}, latent[i]) for i in range(count)])

    ways = {"one after the other": loop, "vmap": lambda: vmap(one)(weights, latent)}
    if own is not None:
        del ways["vmap"]  # its activations are autograd functions without a rule for it
        ways["layers that take a batch"] = lambda: own(weights)
    base = None
    for way, work in ways.items():
        seconds = best(work, weights, rounds)
        base = seconds if base is None else base
        print(f"| {name} | {count} | {way} | {seconds:.3f} | {seconds / base:.2f} |", flush=True)


class InW(nn.Module):
    """StyleGAN2 as a function of w alone."""

    def __init__(self, generator: StyleGAN2) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, w: Tensor) -> Tensor:
        """Latents of w → images."""
        return self.generator(w, "w", "const")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--width", type=int, default=32, help="channels of the DCGAN's last maps")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seed_global("weights of a study of own weights", 0)
    print("| network | batch | way | s | ratio |\n|---|---|---|---|---|")
    compare("DCGAN", DCGAN(given.width).requires_grad_(False), torch.randn(given.batch, 100, 1, 1), given.rounds, None)
    generator = StyleGAN2(checkpoint="cottages64")
    latent = generator.sample(given.batch, stream("latents of a study of own weights", 0), space="w")

    def own(weights: Mapping[str, Tensor]) -> Tensor:
        return functional_call(generator, {n.partition(".")[2]: v for n, v in weights.items()}, (latent, "w", "const"))

    compare("StyleGAN2", InW(generator), latent, given.rounds, own)


if __name__ == "__main__":
    main()
