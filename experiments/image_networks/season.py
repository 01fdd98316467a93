"""A learned edit by a network in one pass, and by the generator that it was learned from. From the root of the project:

python experiments/image_networks/season.py outputs/image_networks/networks/season/weights.safetensors --count 64

Samples before and after a step along the shipped direction `season`: the network is shown those before; the encoder
that ships, with so many steps of optimisation behind it, and with half as many of the weights behind those, find
latents of them, which are moved. All are compared with what the generator itself makes of the true latents.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zstar.directions.directed import Directed
from zstar.encoders.trained import find_encoder, load_encoder
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import write_png
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.metrics.perceptual import Perceptual
from zstar.metrics.psnr import PSNR
from zstar.metrics.ssim import SSIM
from zstar.objective import Problem
from zstar.optimizers.adam import Adam
from zstar.projectors.base import project
from zstar.projectors.encoder import Encoder
from zstar.projectors.optimization import Optimization
from zstar.projectors.weights import Weights
from zstar.spaces.w_plus import WPlus
from zstar.stats.comparison import mean_interval

ALPHA = 0.5
SHOWN = 8


def main() -> None:
    """Measure all ways on the same images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("outputs/image_networks/season.json"))
    arguments = parser.parse_args()
    generator = StyleGAN2(checkpoint="cottages64")
    data = Directed(generator, "directions64", "season", ALPHA, arguments.count, stream="held out")
    batch = data.read(range(arguments.count))
    before, after = batch.extras["source"], batch.images
    network = load_encoder(arguments.network).network

    def moved(*chain: Callable[[Problem], object]) -> Callable[[Tensor, list[str]], Tensor]:
        space = WPlus(generator)
        problem = Problem(space, {"pixel": Pixel()}, {}, Adam(lr=0.01))

        def edit(images: Tensor, ids: list[str]) -> Tensor:
            found = project(problem, [make(problem) for make in chain], Targets({"image": images}, ids))
            strengths = torch.full((len(images),), ALPHA)
            return generator.render(*data.direction.carry(generator, found.v, "w_plus", strengths))

        return edit

    def encoder(problem: Problem) -> Encoder:
        return Encoder(problem, find_encoder(problem.space))

    def optimization(problem: Problem) -> Optimization:
        return Optimization(problem, steps=arguments.steps)

    ways = {
        "nothing": lambda images, ids: images,
        "network": lambda images, ids: network(images, images),
        "encoder": moved(encoder),
        "hybrid": moved(encoder, optimization),
        "hybrid and θ": moved(encoder, optimization, lambda problem: Weights(problem, steps=-(-arguments.steps // 2))),
    }
    metrics = {"psnr": PSNR(), "ssim": SSIM(), "perceptual": Perceptual()}
    results: dict[str, dict[str, object]] = {}
    sheet = [before[:SHOWN]]
    for name, way in ways.items():
        with torch.no_grad():
            way(before[:2], batch.ids[:2])  # what a first call builds is no part of an edit
            began = time.perf_counter()
            made = way(before, batch.ids).clamp(-1, 1)
            seconds = (time.perf_counter() - began) / len(before)
        results[name] = {"seconds": seconds}
        for metric, measure in metrics.items():
            values = measure(made, after).double().numpy()
            results[name][metric] = [float(np.mean(values)), *mean_interval(values)]
        sheet += [made[:SHOWN]] if name != "nothing" else []
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    rows = [torch.cat(list(row), dim=2) for row in [*sheet, after[:SHOWN]]]
    write_png(arguments.out.with_suffix(".png"), torch.cat(rows, dim=1))


if __name__ == "__main__":
    main()
