"""Tensors that stay as they are, on whichever device they are wanted."""

import torch
from torch import Tensor


class Constant:
    """A tensor that does not change, copied once to each device and type that asks for it.

    A copy to a GPU makes it wait for the host, so what is wanted in every step is not copied in every step.

    Arguments:
        value: The tensor; whoever changes it makes another constant.
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self._copies: dict[tuple[torch.device, torch.dtype], Tensor] = {(value.device, value.dtype): value}

    def like(self, other: Tensor) -> Tensor:
        """The tensor on the device and in the type of ``other``."""
        return self.on(other.device, other.dtype)

    def on(self, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
        """The tensor on ``device``, in its own type unless another one is given."""
        key = device, self.value.dtype if dtype is None else dtype
        if key not in self._copies:
            self._copies[key] = self.value.to(*key)
        return self._copies[key]
