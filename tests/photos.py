"""Images that no latent has, and a generator that knows nothing of weights of each image's own."""

from typing import Any

import torch
from torch import nn

from zstar.generators.base import AbstractGenerator
from zstar.generators.module import Module
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Problem
from zstar.optimizers.adam import Adam
from zstar.spaces.w import W
from zstar.spaces.z import Z


def dcgan() -> Module:
    """A small network of transposed convolutions."""
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.ConvTranspose2d(8, 6, 4), nn.BatchNorm2d(6), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh()
    )
    return Module(body, [8, 1, 1], layers=["2"])


def case(generator: AbstractGenerator, count: int = 3, **settings: Any) -> tuple[Problem, Targets]:
    """A problem in w, or z, and images of noise, in single precision."""
    generator.float()
    kind = W if "w" in generator.spaces else Z
    problem = Problem(kind(generator, 200), {"pixel": Pixel()}, {}, **({"optimizer": Adam(lr=0.05)} | settings))
    rng = torch.Generator().manual_seed(7)
    images = torch.rand(count, generator.channels, generator.resolution, generator.resolution, generator=rng) * 2 - 1
    return problem, Targets({"image": images}, [f"photo-{i}" for i in range(count)])
