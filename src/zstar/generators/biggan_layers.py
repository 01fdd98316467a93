"""The layers of BigGAN: weights of spectral norm one, batch norm that a class conditions, attention.

Names of parameters and buffers are those of ajbrock/BigGAN-PyTorch, so that its weights load as they are.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.generators.folding import folded

MOMENTUM = 0.1  # of the running statistics
SHARE = 8  # of the channels that attention compares pixels by; half of them are what it carries


def apply_weight(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear map, or where the weight is of one a convolution that keeps the size."""
    if weight.dim() == 2:
        return F.linear(x, weight, bias)
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def initial_weight(inputs: int, outputs: int, kernel: int) -> nn.Parameter:
    """Orthogonal weights of a linear map (``kernel`` 0) or a convolution."""
    shape = (outputs, inputs, kernel, kernel) if kernel else (outputs, inputs)
    return nn.Parameter(nn.init.orthogonal_(torch.empty(shape)))


class SpectralLayer(nn.Module):
    """A linear map or a convolution whose weight is divided by its largest singular value (Miyato et al. 2018,
    https://arxiv.org/abs/1802.05957).

    The value is what one step of the power method makes of the stored ``u0``, in ``eval()`` as well: other readings of
    the files give other images. Training stores where the step has led to.

    Arguments:
        inputs, outputs: Features or channels.
        kernel: Size of the convolution; 0 for a linear map.
        bias: Whether one is added.
        eps: Least length that a vector of the power method is divided by.
    """

    u0: Tensor
    sv0: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int = 0, bias: bool = True, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = initial_weight(inputs, outputs, kernel)
        self.register_parameter("bias", nn.Parameter(torch.zeros(outputs)) if bias else None)
        self.register_buffer("u0", torch.randn(1, outputs))
        self.register_buffer("sv0", torch.ones(1))  # a log of the last value

    def forward(self, x: Tensor) -> Tensor:
        return apply_weight(x, self._divided(), self.bias)

    def _divided(self) -> Tensor:
        if not self.training:
            return folded(self, "divided", self._divide, self.weight, buffers=(self.u0,))
        with torch.autocast(self.weight.device.type, enabled=False):
            sides = self._iterate(self.weight)
            value = self._value(self.weight, *sides)
            with torch.no_grad():
                self.u0.copy_(sides[0])
                self.sv0.copy_(value.view(1))
            return self.weight / value

    def _divide(self, weight: Tensor) -> Tensor:
        return weight / self._value(weight, *self._iterate(weight))

    @torch.no_grad()
    def _iterate(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The next left and right vector."""
        matrix = weight.reshape(len(weight), -1)
        right = F.normalize(self.u0 @ matrix, eps=self.eps)
        return F.normalize(right @ matrix.t(), eps=self.eps), right

    @staticmethod
    def _value(weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
        return (right @ weight.reshape(len(weight), -1).t() @ left.t()).squeeze()


def normalise(
    x: Float[Tensor, "b c h w"], mean: Tensor, variance: Tensor, eps: float, gain: Tensor, bias: Tensor
) -> Float[Tensor, "b c h w"]:
    """(x − mean) / √(variance + eps) · gain + bias, with statistics ``[c]`` and gain and bias ``[b or 1, c]``."""
    scale = gain * (variance + eps).rsqrt()
    shift = bias - mean * scale
    return torch.addcmul(shift[:, :, None, None], x, scale[:, :, None, None])


class ConditionalNorm(nn.Module):
    """Batch norm with a gain of 1 + a linear map of the condition, and another one as the bias.

    Arguments:
        width: Channels.
        inputs: Length of the condition.
        eps: Added to variances.
        spectral_eps: Of the linear maps.
    """

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, width: int, inputs: int, eps: float, spectral_eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.gain = SpectralLayer(inputs, width, bias=False, eps=spectral_eps)
        self.bias = SpectralLayer(inputs, width, bias=False, eps=spectral_eps)
        self.register_buffer("stored_mean", torch.zeros(width))
        self.register_buffer("stored_var", torch.ones(width))

    def forward(self, x: Float[Tensor, "b c h w"], y: Float[Tensor, "b k"]) -> Float[Tensor, "b c h w"]:
        gain, bias = 1 + self.gain(y), self.bias(y)
        if not self.training:
            return normalise(x, self.stored_mean, self.stored_var, self.eps, gain, bias)
        x = F.batch_norm(x, self.stored_mean, self.stored_var, training=True, momentum=MOMENTUM, eps=self.eps)
        return x * gain[:, :, None, None] + bias[:, :, None, None]


class PlainNorm(nn.Module):
    """Batch norm with one gain and bias for all images, as in front of the colours."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gain, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("stored_mean", torch.zeros(width))
        self.register_buffer("stored_var", torch.ones(width))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if not self.training:
            return normalise(x, self.stored_mean, self.stored_var, self.eps, self.gain[None], self.bias[None])
        statistics = (self.stored_mean, self.stored_var)
        return F.batch_norm(x, *statistics, self.gain, self.bias, training=True, momentum=MOMENTUM, eps=self.eps)


def attend(
    theta: Float[Tensor, "b k h w"], phi: Float[Tensor, "b k h w"], g: Float[Tensor, "b v h w"]
) -> Float[Tensor, "b v h w"]:
    """At each pixel the mean of ``g`` over a quarter as many places, weighted by a softmax of theta·phi (Zhang et al.
    2019, https://arxiv.org/abs/1805.08318)."""
    keys, values = F.max_pool2d(phi, 2).flatten(2), F.max_pool2d(g, 2).flatten(2)
    shares = (theta.flatten(2).transpose(1, 2) @ keys).softmax(dim=-1)
    return (values @ shares.transpose(1, 2)).unflatten(2, theta.shape[2:])


class Attention(nn.Module):
    """Self-attention beside a way around it, which is all that there is of it at first (``gamma`` 0)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.theta = SpectralLayer(width, width // SHARE, 1, bias=False, eps=eps)
        self.phi = SpectralLayer(width, width // SHARE, 1, bias=False, eps=eps)
        self.g = SpectralLayer(width, width // 2, 1, bias=False, eps=eps)
        self.o = SpectralLayer(width // 2, width, 1, bias=False, eps=eps)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Float[Tensor, "b c h w"], y: Tensor | None = None) -> Float[Tensor, "b c h w"]:
        return x + self.gamma * self.o(attend(self.theta(x), self.phi(x), self.g(x)))
