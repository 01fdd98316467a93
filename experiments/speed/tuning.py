"""How soon each way of fitting θ is as good as pivotal tuning as published, and what it keeps of an image.

    python experiments/speed/tuning.py --images 8

The published loop (PTI, Roich et al. 2022) copies G and takes Adam at 3e-4 over all of its weights for 350 steps, one
image after the other. It is written here in plain torch. All minimise the same two terms in one run on one thread,
from the same latents of w, or of w+ where the start is the hybrid method; the aim of an image is the value that the
published loop ends at. Seconds are those of the tuning; what each start has taken is printed before. Bytes are those of
the change, and for the published loop of the generator that it saves.
"""

import argparse
import copy
import time
from typing import Any

import torch
from torch import Tensor

from zstar.callbacks import Step
from zstar.data.cottages import Cottages
from zstar.encoders.trained import find_encoder
from zstar.generators.base import AbstractGenerator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.variables import part
from zstar.inversion import Inversion
from zstar.losses.base import AbstractLoss
from zstar.losses.networks import AnnotatorFeatures
from zstar.losses.perceptual import Perceptual
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.metrics.psnr import PSNR
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.projectors.base import project
from zstar.projectors.encoder import Encoder
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.projectors.weights import Weights
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus

WAYS: dict[str, dict[str, Any]] = {  # what is changed of the published loop, one ingredient after the other
    "in a batch": {"lr": 3e-4, "batch": 8},
    "rate 1e-3": {"batch": 8},
    "rate 3e-3": {"lr": 3e-3, "batch": 8},
    "32 and 64 pixels": {"batch": 8, "resolutions": [32, 64]},
    "32 and 64 pixels, rate 3e-3": {"lr": 3e-3, "batch": 8, "resolutions": [32, 64]},
    "32 and 64 pixels, rate 3e-3, half precision": {"lr": 3e-3, "batch": 8, "resolutions": [32, 64], "half": True},
    "32 and 64 pixels, rate 6e-3, half precision": {"lr": 6e-3, "batch": 8, "resolutions": [32, 64], "half": True},
    "from the hybrid method, 32 and 64 pixels, rate 3e-3, half precision": {
        "start": "hybrid", "lr": 3e-3, "batch": 8, "resolutions": [32, 64], "half": True,
    },
    "from the hybrid method, rate 3e-3": {"start": "hybrid", "lr": 3e-3, "batch": 8},
    "rank 8, rate 3e-3": {"lr": 3e-3, "batch": 8, "rank": 8},
    "32 and 64 pixels, rank 8, half precision, rate 3e-3": {
        "lr": 3e-3, "batch": 8, "resolutions": [32, 64], "rank": 8, "half": True,
    },
}  # fmt: skip


def published(
    generator: AbstractGenerator, losses: dict[str, AbstractLoss], latent: Tensor, target: Tensor, steps: int
) -> tuple[float, Tensor, float]:
    """Pivotal tuning of one image as published: its value and picture at the end, and the seconds that it took."""
    began, own = time.perf_counter(), copy.deepcopy(generator).requires_grad_(True)
    optimizer = torch.optim.Adam(own.parameters(), lr=3e-4)
    for _ in range(steps):
        image = own.synthesize(latent, "w", "const")
        loss = sum(term.weight * term(image, target).sum() for term in losses.values())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        image = own.synthesize(latent, "w", "const")
        value = sum(term.weight * term(image, target).item() for term in losses.values())
    return value, image, time.perf_counter() - began


def fitted(
    problem: Problem, pivot: Inversion, targets: Targets, aims: Tensor, batch: int, **settings: Any
) -> tuple[float, float, float]:
    """Seconds until images are as good as their aims, the share of them that are, and bytes that are kept of each."""
    seconds, reached, kept = [], [], 0
    for rows in torch.arange(len(aims)).split(batch):
        chosen = rows.tolist()
        part_of = Targets({"image": targets.images[rows]}, [targets.ids[i] for i in chosen])
        began, when = time.perf_counter(), torch.full((len(rows),), torch.inf)

        def watch(step: Step, when: Tensor = when, rows: Tensor = rows, began: float = began) -> None:
            there = (step.terms.total <= aims[rows]) & when.isinf()
            when[there] = (time.perf_counter() - began) / len(rows)
            step.active.logical_and_(when.isinf())  # an image that is as good as the published loop is done

        objective = Objective(problem, part_of)
        found = Weights(problem, **settings)(objective, pivot.select(chosen), [watch])
        kept += sum(value.numel() * value.element_size() for value in part(found.v, "weights").values())
        ends = (time.perf_counter() - began) / len(rows)
        seconds += when.where(when.isfinite(), torch.tensor(ends)).tolist()
        reached += when.isfinite().tolist()
    return sum(seconds) / len(seconds), sum(reached) / len(reached), kept / len(aims)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=350)
    parser.add_argument("--pivot", type=int, default=300, help="steps that the latents take before")
    parser.add_argument(
        "--hybrid", type=int, default=50, help="steps of the hybrid method behind its inverting network"
    )
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    generator, batch = StyleGAN2(checkpoint="cottages64"), Cottages(given.images).read(range(given.images))
    targets = Targets({"image": batch.images}, batch.ids)
    losses = {"pixel": Pixel(), "perceptual": Perceptual(AnnotatorFeatures(), weight=0.05)}
    w, w_plus = (
        Problem(space(generator), losses, {}, Adam(lr=0.05, ramp_up=0.0, ramp_down=0.0)) for space in (W, WPlus)
    )
    encoder = Encoder(w_plus, find_encoder(w_plus.space))
    pivot = project(w, [Mean(w), Optimization(w, steps=given.pivot)], targets)
    hybrid = project(w_plus, [encoder, Optimization(w_plus, steps=given.hybrid)], targets)
    starts = {"w": (w, pivot), "hybrid": (w_plus, hybrid)}
    pairs = zip(pivot.latent.split(1), targets.images.split(1), strict=True)
    runs = [published(generator, losses, latent, target, given.steps) for latent, target in pairs]
    aims, images = torch.tensor([run[0] for run in runs]), torch.cat([run[1] for run in runs])
    base, psnr = sum(run[2] for run in runs) / given.images, PSNR()
    size = sum(value.numel() * value.element_size() for value in generator.state_dict().values())
    before, both, after = (psnr(image, targets.images).mean().item() for image in (pivot.image, hybrid.image, images))
    took, short = (one.seconds.mean().item() for one in (pivot, hybrid))
    print(f"w alone {before:.2f} dB in {took:.1f} s per image, hybrid {both:.2f} dB in {short:.1f} s", end=", ")
    print(f"as published {after:.2f} dB\n")
    print("| way | s per image to that quality | ratio | reached | KiB per image | ratio |\n|---|---|---|---|---|---|")
    print(f"| as published, {given.steps} steps | {base:.2f} | 1 | – | {size / 1024:,.0f} | 1 |", flush=True)
    for way in given.ways:
        settings = dict(WAYS[way])
        start = starts[settings.pop("start", "w")]
        seconds, reached, kept = fitted(*start, targets, aims, steps=given.steps, **settings)
        numbers = f"{seconds:.2f} | {seconds / base:.2f} | {reached:.0%} | {kept / 1024:,.0f} | {kept / size:.3f}"
        print(f"| {way} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
