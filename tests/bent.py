"""A non-linear direction with random weights, for tests of what moves latents."""

import math

import torch

from zstar.directions.nonlinear import Nonlinear, Step
from zstar.generators.stylegan2 import StyleGAN2


def bent(tiny: StyleGAN2, space: str) -> Nonlinear:
    """Another step from every latent of ``space``, forward and backward."""
    size = math.prod(tiny.shape(space))
    steps = [Step(size, 8, torch.zeros(size), 1.0, torch.ones(size), False) for _ in range(2)]
    for step in steps:
        torch.nn.init.normal_(step.leave.weight, std=0.1)
    return Nonlinear(space, *(step.requires_grad_(False) for step in steps), (0.5, 0.25))
