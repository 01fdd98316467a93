"""Low-pass filters of StyleGAN3, and resampling by them (Karras et al. 2021, https://arxiv.org/abs/2106.12423, 3.2)."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def low_pass(taps: int, cutoff: float, width: float, rate: float, radial: bool = False) -> Tensor:
    """A filter [taps], or a radially symmetric one [taps, taps], by a Kaiser window; it sums to one.

    Arguments:
        taps: An even number of them.
        cutoff: Highest frequency that passes.
        width: Of the band in which the response falls.
        rate: Samples for each unit of length, of which frequencies are the inverse.
    """
    attenuation = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95
    window = torch.kaiser_window(taps, periodic=False, beta=_beta(attenuation), dtype=torch.double)
    places = (torch.arange(taps, dtype=torch.double) - (taps - 1) / 2) / rate
    if radial:
        distance = torch.hypot(*torch.meshgrid(places, places, indexing="ij"))
        response = torch.special.bessel_j1(2 * math.pi * cutoff * distance) / distance
        response = response * torch.outer(window, window)
    else:
        response = torch.sinc(2 * cutoff * places) * window
    return (response / response.sum()).float()


def _beta(attenuation: float) -> float:
    """The shape of a Kaiser window that attenuates what it stops by so many decibels (Kaiser 1974)."""
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


class Spread(torch.autograd.Function):
    """Along dimension ``way`` of x [b, 1, h, w], 2 or 3: y[q] = Σ x[i]·taps[q + shift − i·factor], for q < size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, factor: int, shift: int, size: int, way: int) -> Tensor:
        ctx.save_for_backward(taps)
        ctx.numbers = factor, shift, x.shape[way], way
        # Each of the ``factor`` phases of y is a short filter of x; the general transposed convolution is far slower.
        phases = taps.to(x.dtype).view(-1, factor).T.flip(1)[:, None]
        reach = phases.shape[-1] - 1
        if way == 3:
            y = F.conv2d(x, phases[:, :, None], padding=(0, reach)).permute(0, 2, 3, 1)
            y = y.reshape(len(x), 1, x.shape[2], -1)
        else:
            y = F.conv2d(x, phases[..., None], padding=(reach, 0)).permute(0, 2, 1, 3)
            y = y.reshape(len(x), 1, -1, x.shape[3])
        return _window(y, -shift, size, way)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (taps,) = ctx.saved_tensors
        return Gather.apply(grad, taps, *ctx.numbers), None, None, None, None, None


class Gather(torch.autograd.Function):
    """The adjoint of ``Spread``: x[i] = Σ y[q]·taps[q + shift − i·factor], for i < size."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, taps: Tensor, factor: int, shift: int, size: int, way: int) -> Tensor:
        ctx.save_for_backward(taps)
        ctx.numbers = factor, shift, y.shape[way], way
        y, kernel = _window(y, shift, (size - 1) * factor + len(taps), way), taps.to(y.dtype)[None, None, None]
        if way == 3:
            return F.conv2d(y, kernel, stride=(1, factor))
        return F.conv2d(y, kernel.transpose(2, 3), stride=(factor, 1))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (taps,) = ctx.saved_tensors
        return Spread.apply(grad, taps, *ctx.numbers), None, None, None, None, None


def _window(x: Tensor, before: int, size: int, way: int) -> Tensor:
    """``size`` places, of which the first is so many before that of x; zeros where x has none."""
    room = (before, size - before - x.shape[way])  # negative where it is cut
    return F.pad(x, room if way == 3 else (0, 0, *room)) if any(room) else x


def upsample(
    x: Float[Tensor, "b c h w"], taps: Float[Tensor, " n"], factor: int, first: int, size: int
) -> Float[Tensor, "b c size size"]:
    """``factor`` times as many samples: zeros between them, then the filter, along both sides.

    Arguments:
        first: So many zeros are before the first sample.
        size: Samples that are kept of the result, on each side.
    """
    maps = x.reshape(-1, 1, *x.shape[2:])
    for way in (3, 2):
        maps = Spread.apply(maps, factor * taps, factor, len(taps) - 1 - first, size, way)
    return maps.view(*x.shape[:2], size, size)


def downsample(
    x: Float[Tensor, "b c h w"], taps: Float[Tensor, " n"] | Float[Tensor, "n n"], factor: int
) -> Float[Tensor, "b c h2 w2"]:
    """Every ``factor``-th sample along both sides of what the filter leaves, without those at the border."""
    maps = x.reshape(-1, 1, *x.shape[2:])
    if taps.dim() == 2:
        maps = F.conv2d(maps, taps.flip(0, 1)[None, None], stride=factor)
    else:
        size = (x.shape[2] - len(taps)) // factor + 1
        for way in (3, 2):
            maps = Gather.apply(maps, taps.flip(0), factor, 0, size, way)
    return maps.view(*x.shape[:2], *maps.shape[2:])
