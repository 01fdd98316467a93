"""Gradient checkpointing: blocks of a generator that are run again in the backward pass instead of being kept."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from zstar.config.reasons import Unfit
from zstar.generators.base import AbstractGenerator


def checkpoint_blocks(generator: AbstractGenerator) -> None:
    """Let the blocks of a generator keep nothing for a backward pass but what they were given.

    One more forward pass in each step for the memory of one block: the same images and gradients. A block whose
    feature maps are edited or read at the time is kept as it is.

    Raises:
        Unfit: The generator names no blocks.
    """
    if not generator.blocks:
        name = type(generator).__name__
        raise Unfit(f"checkpointing: {name} has no blocks to run again; set it to false, or micro_batch=1")
    for block in generator.blocks:
        block.forward = _run_again(block)


def _run_again(block: nn.Module) -> Callable[..., Any]:
    plain, inside = block.forward, False

    def run(own: dict[str, torch.Tensor], *arguments: Any) -> Any:
        nonlocal inside
        inside = True
        try:
            return functional_call(block, own, arguments)
        finally:
            inside = False

    def forward(*arguments: Any) -> Any:
        watched = any(module._forward_hooks for module in block.modules())  # which are gone in the backward pass
        if inside or watched or not torch.is_grad_enabled():
            return plain(*arguments)
        # Weights of each image's own are in their places now, and will not be there in the backward pass.
        own = dict(block.named_parameters())
        return checkpoint(run, own, *arguments, use_reentrant=False, preserve_rng_state=False)

    return forward
