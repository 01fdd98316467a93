"""Weights of rosinality/stylegan2-pytorch under the official names of StyleGAN2.

The two implementations compute the same network. They differ in names, in leading dimensions of one, and in where the
equalised learning rate 1/√(9·inputs) of a 3×3 convolution is applied: there on the weight, officially nowhere, since
demodulation cancels it. It is put into the weight here, so that the small constant inside the demodulation is the same.
Up-sampling convolutions are transposed convolutions of the same orientation in both, and both filters have gain 4.
"""

import math
import re

import torch
from torch import Tensor
from torch.nn import functional as F

from zstar.stats.streams import stream


def is_rosinality(weights: dict[str, Tensor]) -> bool:
    """Whether the names are those of rosinality's generator."""
    return {"style.1.weight", "input.input", "conv1.conv.weight"} <= set(weights)


def to_official(weights: dict[str, Tensor], latent_avg: Tensor | None = None) -> dict[str, Tensor]:
    """The official state dict of rosinality's ``weights`` (its ``g_ema``); ``latent_avg`` is the mean of w if known.

    Where it is not known, the mean of 10,000 draws of a fixed seed takes its place. Noise maps that an old file lacks
    are drawn from a fixed seed as well.
    """
    depth = sum(bool(re.fullmatch(r"style\.\d+\.weight", name)) for name in weights)
    official = {"synthesis.b4.const": weights["input.input"][0]}
    for i in range(depth):
        for part in ("weight", "bias"):
            official[f"mapping.fc{i}.{part}"] = weights[f"style.{i + 1}.{part}"]
    official["mapping.w_avg"] = _mean_w(official, depth) if latent_avg is None else latent_avg.reshape(-1).float()
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    fir = weights.get("convs.0.conv.blur.kernel", 4 * torch.outer(taps, taps)) / 4
    blocks = 1 + sum(bool(re.fullmatch(r"to_rgbs\.\d+\.bias", name)) for name in weights)
    rng = stream("noise maps", 0)
    for i in range(blocks):
        block, size = f"synthesis.b{4 * 2**i}", 4 * 2**i
        convs = {"conv0": f"convs.{2 * i - 2}", "conv1": f"convs.{2 * i - 1}"} if i else {"conv1": "conv1"}
        official[f"{block}.resample_filter"] = fir
        for offset, (ours, theirs) in enumerate(convs.items()):
            weight = weights[f"{theirs}.conv.weight"][0]
            drawn = torch.randn(1, 1, size, size, generator=rng)
            noise = weights.get(f"noises.noise_{max(0, 2 * i - 1) + offset}", drawn)
            official |= _affine(weights, f"{theirs}.conv", f"{block}.{ours}") | {
                f"{block}.{ours}.weight": weight / math.sqrt(weight[0].numel()),
                f"{block}.{ours}.bias": weights[f"{theirs}.activate.bias"],
                f"{block}.{ours}.noise_strength": weights[f"{theirs}.noise.weight"].reshape(()),
                f"{block}.{ours}.noise_const": noise[0, 0],
                f"{block}.{ours}.resample_filter": fir,
            }
        rgb = f"to_rgbs.{i - 1}" if i else "to_rgb1"
        official |= _affine(weights, f"{rgb}.conv", f"{block}.torgb") | {
            f"{block}.torgb.weight": weights[f"{rgb}.conv.weight"][0],
            f"{block}.torgb.bias": weights[f"{rgb}.bias"].reshape(-1),
        }
    return official


def _affine(weights: dict[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    return {f"{ours}.affine.{part}": weights[f"{theirs}.modulation.{part}"] for part in ("weight", "bias")}


def _mean_w(official: dict[str, Tensor], depth: int, lr_multiplier: float = 0.01) -> Tensor:
    """The mean of w over the prior, by the mapping network itself."""
    x = torch.randn(10_000, official["mapping.fc0.weight"].shape[1], generator=stream("mean of w", 0))
    x = x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    for i in range(depth):
        weight, bias = official[f"mapping.fc{i}.weight"], official[f"mapping.fc{i}.bias"]
        x = F.linear(x, weight * (lr_multiplier / math.sqrt(weight.shape[1])), bias * lr_multiplier)
        x = F.leaky_relu(x, 0.2) * math.sqrt(2)
    return x.mean(dim=0)
