"""The StyleGAN2 projector as published, written from its description as one plain loop for one image.

Karras et al. 2020, https://arxiv.org/abs/1912.04958, with the settings of the official program: the baseline of
``time_to_quality.py``. Nothing of zstar's loop, optimizer, regularizer or schedules is used; the generator and the
distance between images are given, because both sides are to have the same ones.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.generators.stylegan2 import StyleGAN2

STEPS = 1000
Features = Callable[[Tensor], list[Tensor]]
Distance = Callable[[list[Tensor], list[Tensor]], Tensor]
Seen = Callable[[int, Tensor], None]


def project(
    generator: StyleGAN2, features: Features, distance: Distance, target: Tensor, seen: Seen, steps: int = STEPS
) -> None:
    """Project one image ``[1, c, h, w]`` to w; ``seen(steps done, G(w))`` gets a picture now and then."""
    torch.manual_seed(303)
    with torch.no_grad():
        samples = generator.mapping(torch.randn(10_000, generator.z_dim))
        center = samples.mean(dim=0, keepdim=True)
        spread = ((samples - center).square().sum() / len(samples)).sqrt().item()
        wanted = features(target)  # once per image, as in the official program
    w = center.clone().requires_grad_()
    noise = {name: torch.randn(1, 1, *shape).requires_grad_() for name, shape in generator.noise_shapes.items()}
    optimizer = torch.optim.Adam([w, *noise.values()], betas=(0.9, 0.999), lr=0.1)

    for step in range(steps):
        t = step / steps
        optimizer.param_groups[0]["lr"] = 0.1 * learning_rate(t)
        exploration = torch.randn_like(w) * (0.05 * spread * max(0.0, 1 - t / 0.75) ** 2)
        image = generator.synthesize(w + exploration, "w", noise)
        penalty = sum(pattern(part) for part in noise.values())
        loss = distance(features(image), wanted) + 1e5 * penalty
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for part in noise.values():
                part -= part.mean()
                part *= part.square().mean().rsqrt()
        if (step + 1) % 50 == 0:
            with torch.no_grad():
                seen(step + 1, generator.synthesize(w, "w", noise))


def learning_rate(t: float, up: float = 0.05, down: float = 0.25) -> float:
    """The share of the step size at the fraction ``t`` of the run."""
    fall = min(1.0, (1 - t) / down)
    return (0.5 - 0.5 * math.cos(fall * math.pi)) * min(1.0, t / up)


def pattern(noise: Tensor) -> Tensor:
    """How much of a picture a noise map ``[1, 1, h, w]`` is, over a pyramid down to 8×8."""
    total = noise.new_zeros(())
    while True:
        for dim in (2, 3):
            total = total + (noise * noise.roll(1, dims=dim)).mean().square()
        if noise.shape[2] <= 8:
            return total
        noise = F.avg_pool2d(noise, 2)


def plain_layout(module: nn.Module) -> nn.Module:
    """The module with its weights in the order of an ordinary checkpoint (NCHW), as the official program has them."""
    return module.to(memory_format=torch.contiguous_format)
