"""The three steps of StyleGAN2 whose derivatives, left to autograd, would cost more than their convolutions.

Each backward pass is written in differentiable operations, so second derivatives (path length, curvature) work.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

SLOPE = 0.2  # of every leaky ReLU


class Activate(torch.autograd.Function):
    """``leaky_relu(x · scale + bias + noise)``, computed in the memory of ``x``.

    Shapes: x [b, c, h, w], whose values are lost; scale [b, c]; bias [c] or [b, c]; noise [b or 1, 1, h, w] or None.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, bias: Tensor, noise: Tensor | None) -> Tensor:
        shift = bias.view(-1, x.shape[1], 1, 1)
        if noise is not None and len(noise) == 1:
            shift = (noise.permute(0, 2, 3, 1) + shift.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # as x lies in memory
        torch.addcmul(shift, x, scale[:, :, None, None], out=x)
        if noise is not None and len(noise) > 1:
            x.add_(noise)
        y = F.leaky_relu_(x, SLOPE)
        ctx.mark_dirty(y)
        ctx.save_for_backward(y, scale, bias, noise)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        y, scale, bias, noise = ctx.saved_tensors
        wants_scale, wants_bias, wants_noise = ctx.needs_input_grad[1:]
        inner = torch.ops.aten.leaky_relu_backward(grad, y, SLOPE, True)
        # Sums are in the type of ``scale``, as under autocast that of x may be too coarse for them.
        per_channel = inner.sum(dim=(2, 3), dtype=scale.dtype) if wants_scale or wants_bias else None
        grad_scale = None
        if wants_scale:
            # Σ inner·(x·scale + shift) = Σ grad·y, as leaky ReLU is positively homogeneous; x itself is not kept.
            shifted = per_channel * bias
            if noise is not None:
                pixels = inner.permute(0, 2, 3, 1).flatten(1, 2)
                shifted = shifted + (noise.to(inner.dtype).flatten(2).expand(len(y), -1, -1) @ pixels)[:, 0]
            grad_scale = ((grad * y).sum(dim=(2, 3), dtype=scale.dtype) - shifted) / scale
        grad_noise = inner.sum(dim=1, keepdim=True).sum_to_size(noise.shape) if wants_noise else None
        grad_bias = per_channel.sum_to_size(bias.shape) if wants_bias else None
        rescale = torch.mul if torch.is_grad_enabled() else torch.Tensor.mul_  # second derivatives need ``inner``
        return rescale(inner, scale[:, :, None, None]), grad_scale, grad_bias, grad_noise


class Smooth(torch.autograd.Function):
    """Depthwise correlation of x [b, c, h, w] with one fixed kernel [k, k], zero-padded by ``padding``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.padding = padding
        channels, size = x.shape[1], len(kernel)
        kernel = kernel.to(x.dtype).expand(channels, 1, size, size)
        return F.conv2d(x, kernel, padding=padding, groups=channels)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        # The adjoint is again such a correlation, several times faster than the general backward of a convolution.
        (kernel,) = ctx.saved_tensors
        return Smooth.apply(grad, kernel.flip(0, 1), len(kernel) - 1 - ctx.padding), None, None


class MixPixels(torch.autograd.Function):
    """A linear map of channels for each image: x [b, c, h, w], weight [b, o, c] → [b, o, h, w], few outputs o."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        y = x.permute(0, 2, 3, 1).flatten(1, 2) @ weight.transpose(1, 2)
        return y.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = (saved.to(grad.dtype) for saved in ctx.saved_tensors)  # they may differ under autocast
        rows = grad.flatten(2).contiguous()  # [b, o, pixels]: in this order both products are fast
        grad_x = (rows.transpose(1, 2) @ weight).unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        return grad_x, rows @ x.permute(0, 2, 3, 1).flatten(1, 2)
