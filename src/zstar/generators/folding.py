"""What follows from weights that stay as they are, computed once."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T", Tensor, bool)


def folded(
    module: nn.Module, name: str, compute: Callable[..., T], *weights: Tensor, buffers: Sequence[Tensor] = ()
) -> T:
    """``compute(*weights)``, kept with the module under a name for as long as the weights are the same, and the buffers
    that ``compute`` looks at besides.

    It is computed anew where a gradient is wanted of the weights, and where they are not the module's own parameters
    but what ``torch.func.functional_call`` puts in their places.
    """
    if not all(isinstance(weight, nn.Parameter) for weight in weights):
        return compute(*weights)
    if torch.is_grad_enabled() and any(weight.requires_grad for weight in weights):
        return compute(*weights)
    stamp = [(weight.data_ptr(), weight._version, weight.device, weight.dtype) for weight in (*weights, *buffers)]
    kept = module.__dict__.setdefault("_folded", {})  # no buffers: they belong to no state dict
    if name not in kept or kept[name][0] != stamp:
        with torch.inference_mode(False), torch.no_grad():  # as it may be wanted for a gradient of something else next
            kept[name] = stamp, compute(*weights)
    return kept[name][1]
