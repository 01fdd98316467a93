"""Low-pass filters of StyleGAN3, and resampling by them (Karras et al. 2021, https://arxiv.org/abs/2106.12423, 3.2)."""

import math

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


def upsample(
    x: Float[Tensor, "b c h w"], taps: Float[Tensor, " n"], factor: int, first: int, size: int
) -> Float[Tensor, "b c size size"]:
    """``factor`` times as many samples: zeros between them, then the filter, along both sides.

    Arguments:
        first: So many zeros are before the first sample.
        size: Samples that are kept of the result, on each side.
    """
    batch, channels = x.shape[:2]
    maps, kernel = x.reshape(batch * channels, 1, *x.shape[2:]), factor * taps[None, None, None]
    start = first - (len(taps) - 1)
    for way in (3, 2):
        stride = (1, factor) if way == 3 else (factor, 1)
        maps = F.conv_transpose2d(maps, kernel if way == 3 else kernel.transpose(2, 3), stride=stride)
        room = (start, size - start - maps.shape[way])  # negative where it is cut
        maps = F.pad(maps, room if way == 3 else (0, 0, *room))
    return maps.view(batch, channels, size, size)


def downsample(
    x: Float[Tensor, "b c h w"], taps: Float[Tensor, " n"] | Float[Tensor, "n n"], factor: int
) -> Float[Tensor, "b c h2 w2"]:
    """Every ``factor``-th sample along both sides of what the filter leaves, without those at the border."""
    batch, channels = x.shape[:2]
    maps = x.reshape(batch * channels, 1, *x.shape[2:])
    if taps.dim() == 2:
        maps = F.conv2d(maps, taps.flip(0, 1)[None, None], stride=factor)
    else:
        kernel = taps.flip(0)[None, None, None]
        maps = F.conv2d(F.conv2d(maps, kernel, stride=(1, factor)), kernel.transpose(2, 3), stride=(factor, 1))
    return maps.view(batch, channels, *maps.shape[2:])
