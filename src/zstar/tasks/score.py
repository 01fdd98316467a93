"""Scores of a generator beside real images: ``python -m zstar.tasks.score cottages64 annotator.safetensors``."""

import argparse
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from zstar.annotators.base import AbstractAnnotator
from zstar.annotators.load import load_annotator
from zstar.annotators.vocabulary import Vocabulary
from zstar.checkpoints.families import family_of
from zstar.checkpoints.io import load_weights, read_card, resolve, save_weights
from zstar.config.build import build
from zstar.config.paths import place
from zstar.data.base import AbstractData
from zstar.data.cottages import Cottages, world_hash
from zstar.generators.base import AbstractGenerator
from zstar.losses.perceptual import Perceptual
from zstar.metrics.distribution import diversity, kid, pooled, presence, shares
from zstar.stats.streams import stream


@torch.no_grad()
def score(
    generator: AbstractGenerator,
    data: AbstractData,
    annotator: AbstractAnnotator,
    vocabulary: Vocabulary,
    seed: int = 0,
    batch: int = 100,
    truncation: float = 1.0,
) -> dict[str, Any]:
    """An annotator's comparison of real images with as many generated ones.

    Give an annotator that the generator was not trained against; it sees images of the size that it has learned from,
    where that is known. ``kid`` is the distance of generated from real features, ``kid_floor`` that of one half of the
    real ones from the other. Samples whose values are no numbers, as those of a flow whose inverse explodes, are
    counted as ``samples_lost`` and nowhere else.

    Arguments:
        truncation: Of the samples; for a flow, its temperature.

    Raises:
        ValueError: Fewer than two samples are left.
    """
    rng = stream("samples to score", seed)
    counts = [min(batch, len(data) - first) for first in range(0, len(data), batch)]
    latents = (generator.sample(n, rng, truncation) for n in counts)
    drawn = [_finite(generator.synthesize(latent, generator.drawn)).clamp(-1, 1) for latent in latents]
    kept = sum(len(images) for images in drawn)
    if kept < 2:
        raise ValueError("generator: no two of its samples are pictures, their values are no numbers; train it anew")
    real = _look((part.images for part in data.batches(batch)), annotator)
    generated = _look((images for images in drawn if len(images)), annotator)
    classes = vocabulary.classes
    table: dict[str, Any] = {}
    share = {side: shares(labels, len(classes)) for side, (_, labels, _) in (("real", real), ("generated", generated))}
    for side, values in share.items():
        table[f"pixel_share/{side}"] = _named(classes, values.mean(dim=0))
        table[f"presence/{side}"] = _named(classes, presence(values))
    gap = (presence(share["real"]) - presence(share["generated"])).abs()
    distance = Perceptual(_Encoder(annotator))
    spread = {side: diversity(images, distance) for side, (_, _, images) in (("real", real), ("generated", generated))}
    half = len(real[0]) // 2
    return table | {
        "images": len(data),
        "samples_lost": len(data) - kept,
        "truncation": truncation,
        "presence_largest_gap": round(gap.max().item(), 4),
        "kid": _rounded(asdict(kid(real[0], generated[0]))),
        "kid_floor": _rounded(asdict(kid(real[0][:half], real[0][half:]))),
        "diversity/real": _rounded(asdict(spread["real"])),
        "diversity/generated": _rounded(asdict(spread["generated"])),
        "diversity/ratio": round(spread["generated"].value / spread["real"].value, 4),
    }


def _finite(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "_ c h w"]:
    """Those that are pictures."""
    return images[images.flatten(1).isfinite().all(dim=1)]


class _Encoder(torch.nn.Module):
    """An annotator's feature maps."""

    def __init__(self, annotator: AbstractAnnotator) -> None:
        super().__init__()
        self.annotator = annotator

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Fine to coarse."""
        return self.annotator.encode(images)


def _look(batches: Iterator[Tensor], annotator: AbstractAnnotator) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled features ``[n, d]``, most likely class of each pixel ``[n, h, w]``, and the images themselves."""
    device, parts = next(annotator.parameters()).device, []
    for images in batches:
        images = annotator.sized(images.to(device))
        result = annotator(images.contiguous(memory_format=torch.channels_last))
        parts.append((pooled(result.features), result.logits.argmax(dim=1), images))
    features, labels, images = (torch.cat(column) for column in zip(*parts, strict=True))
    return features, labels, images


def _named(names: tuple[str, ...], values: Float[Tensor, " n"]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in zip(names, values.tolist(), strict=True)}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def load_generator(path: Path) -> AbstractGenerator:
    """The generator that a file of weights holds, of whatever family.

    Raises:
        ValueError: Its names do not tell what it is, or nothing reads it.
    """
    family = family_of(load_weights(path))
    if family is None or family.choice is None:
        raise ValueError(f"checkpoint: {path} holds no generator whose names tell what it is; give another file")
    node = files("zstar.conf").joinpath(f"generator/{family.choice}.yaml").read_text(encoding="utf-8")
    return build({"_target_": yaml.safe_load(node)["_target_"], "checkpoint": str(path)}, at="generator")


def main() -> None:
    """Score a generator on held-out cottages, print the scores and add them to those that its card has."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("generator", help="file of weights with a card, or the name of a shipped one")
    parser.add_argument("annotator", help="an annotator that the generator was not trained against")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--truncation", type=float, default=1.0, help="of the samples; of a flow, its temperature")
    arguments = parser.parse_args()
    path = resolve(arguments.generator)
    generator = load_generator(path)
    annotator, vocabulary = load_annotator(arguments.annotator)
    start = time.perf_counter()
    data = Cottages(arguments.count, "test", generator.resolution)
    scores = score(generator, data, annotator, vocabulary, truncation=arguments.truncation)
    scores |= {
        "command": shlex.join(["python", "-m", "zstar.tasks.score", *sys.argv[1:]]),
        "annotator": {k: v for k, v in read_card(resolve(arguments.annotator)).items() if k in ("command", "network")},
        "world": world_hash(),
        "seconds": round(time.perf_counter() - start),
    }
    for name, value in scores.items():
        print(f"{name}: {value}")
    card = read_card(path)  # which has what its training measured, such as bits per dimension
    save_weights(place(path), load_weights(path), card | {"scores": card.get("scores", {}) | scores})


if __name__ == "__main__":
    main()
