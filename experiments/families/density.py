"""Where do the samples of a VAE go wrong? KID of pictures of latents from different places, beside held-out cottages.

    python experiments/families/density.py outputs/train/vae64/weights.safetensors

Latents of its own encoder, of the prior, and of mixtures of 1, 10, 32 and 100 normal distributions, fitted to the
latents of images that it was trained on.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from zstar.annotators.base import AbstractAnnotator
from zstar.annotators.load import load_annotator
from zstar.data.cottages import Cottages
from zstar.generators.mixture import Mixture
from zstar.generators.vae import VAE
from zstar.metrics.distribution import kid, pooled
from zstar.reports.numbers import with_interval
from zstar.stats.streams import stream

COMPONENTS = (1, 10, 32, 100)
BATCH = 100


def features(images: Iterator[Tensor], annotator: AbstractAnnotator) -> Tensor:
    """What the judge sees of pictures."""
    return torch.cat([pooled(annotator(annotator.sized(one)).features) for one in images])


def drawn(vae: VAE, count: int, draw: Callable[[int], Tensor]) -> Iterator[Tensor]:
    """Pictures of latents."""
    for first in range(0, count, BATCH):
        yield vae.synthesize(draw(min(BATCH, count - first)), "z").clamp(-1, 1)


def main() -> None:
    """Fit, draw, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--count", type=int, default=5000, help="pictures of each kind")
    parser.add_argument("--latents", type=int, default=20_000, help="images whose latents the mixtures are fitted to")
    given = parser.parse_args()
    vae, rng = VAE(checkpoint=str(given.weights)), stream("latents of a density", 0)
    judge, _ = load_annotator("judge64")
    data = Cottages(max(given.latents, given.count), "train", vae.resolution)
    found = []
    for batch in data.batches(BATCH):
        found.append(vae.sample_posterior(batch.images, rng))
    latents = torch.cat(found)
    real = features((batch.images for batch in Cottages(given.count, "test", vae.resolution).batches(BATCH)), judge)
    own = iter(latents.split(BATCH))
    kinds: dict[str, Callable[[int], Tensor]] = {
        "its own encoder": lambda n: next(own)[:n],
        "the prior": lambda n: torch.randn(n, latents.shape[1], generator=rng),
    }
    for components in COMPONENTS:
        mixture = Mixture.fitted(latents[: given.latents], components, 0)
        kinds[f"a mixture of {len(mixture.shares)}"] = lambda n, of=mixture: of.sample(n, rng)
    print("| latents of | KID [95 %] |\n|---|---|")
    for name, draw in kinds.items():
        score = kid(real, features(drawn(vae, given.count, draw), judge))
        print(f"| {name} | {with_interval(score.value, score.low, score.high)} |", flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
