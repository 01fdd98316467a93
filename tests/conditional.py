"""A small generator with classes."""

from functools import cache

import torch

from zstar.generators.biggan import BigGAN

SIZES = {"resolution": 16, "width": 1, "z_dim": 12, "classes": 3, "shared_dim": 4, "attention": [8]}


def lively(generator: torch.nn.Module) -> torch.nn.Module:
    """With statistics, biases and attention, so that nothing is equal only because it is zero."""
    with torch.no_grad():
        for value in generator.parameters():
            if value.dim() < 2:
                value.add_(0.3 * torch.randn_like(value))
        for name, value in generator.named_buffers():
            if name.split(".")[-1] in ("stored_var", "running_vars"):
                value.mul_(0.5 + torch.rand_like(value))
            elif name.split(".")[-1] in ("stored_mean", "running_means"):
                value.add_(0.3 * torch.randn_like(value))
    return generator


@cache
def conditional() -> BigGAN:
    """Random weights, three classes that say much of a picture, a millisecond or two."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        made = lively(BigGAN(**SIZES))
        with torch.no_grad():
            made.network.shared.weight.mul_(3)
        return made
