"""Where the numbers of a feature map lie in memory."""

from jaxtyping import Shaped
from torch import Tensor


def channels_last(x: Shaped[Tensor, "b c h w"]) -> Shaped[Tensor, "b c h w"]:
    """The same map with its channels last in memory, in words that ``torch.func`` knows."""
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def has_channels_last(x: Tensor) -> bool:
    """Whether it is a batch of maps that lies so."""
    return x.dim() == 4 and x.shape[1] > 1 and x.stride(1) == 1
