"""Convolutions of spectral norm one."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class SpectralConv(nn.Module):
    """A convolution whose kernel, as a matrix from patches to outputs, is divided by its largest singular value.

    The singular value is followed by one power iteration per ``refresh``, kept out of mixed precision (Miyato et al.,
    https://arxiv.org/abs/1802.05957).
    """

    def __init__(self, source: int, target: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(target, source, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(target))
        nn.init.orthogonal_(self.weight)
        self.stride, self.padding = stride, padding
        self.register_buffer("left", F.normalize(torch.randn(target), dim=0))
        self.register_buffer("right", F.normalize(torch.randn(source * kernel**2), dim=0))
        for _ in range(10):
            self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """One power iteration."""
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            self.right.copy_(F.normalize(matrix.T @ self.left, dim=0))
            self.left.copy_(F.normalize(matrix @ self.right, dim=0))

    def kernel(self) -> Float[Tensor, "target source k k"]:
        """The normalised kernel; the gradient flows through the singular value too."""
        with torch.autocast(self.weight.device.type, enabled=False):
            sigma = torch.einsum("o,oi,i->", self.left.clone(), self.weight.flatten(1), self.right.clone())
            return self.weight / sigma

    def forward(self, x: Float[Tensor, "b source h w"]) -> Float[Tensor, "b target hh ww"]:
        """Convolve."""
        return F.conv2d(x, self.kernel(), self.bias, self.stride, self.padding)
