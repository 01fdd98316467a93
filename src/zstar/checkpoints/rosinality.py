"""Weights of rosinality/stylegan2-pytorch under the official names of StyleGAN2.

The two implementations compute the same network. They differ in names, in leading dimensions of one, and in where the
equalised learning rate 1/√(9·inputs) of a 3×3 convolution is applied: there on the weight, officially nowhere, since
demodulation cancels it. It is put into the weight here, so that the small constant inside the demodulation is the same.
Up-sampling convolutions are transposed convolutions of the same orientation in both, and both filters have gain 4.
"""

import argparse
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from zstar.stats.streams import stream


def is_rosinality(weights: dict[str, Tensor]) -> bool:
    """Whether the names are those of rosinality's generator."""
    return {"style.1.weight", "input.input", "conv1.conv.weight"} <= set(weights)


def options(content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the options saved beside the weights tell; rosinality's own tell none."""
    values = [vars(value) for value in content.values() if isinstance(value, argparse.Namespace)]
    found = [of[name] for of in values for name in ("lr_mlp", "lr_mul") if of.get(name) is not None]
    return {"mapping_lr_multiplier": found[0]} if found else {}


def to_official(
    weights: dict[str, Tensor], latent_avg: Tensor | None = None, lr_multiplier: float = 0.01
) -> dict[str, Tensor]:
    """The official state dict of rosinality's ``weights`` (its ``g_ema``).

    Arguments:
        weights: By rosinality's names.
        latent_avg: The mean of w, in one row or in several; where it is not known, the mean of 10,000 draws of a
            fixed seed takes its place. Noise maps that an old file lacks are drawn from a fixed seed as well.
        lr_multiplier: The ``lr_mlp`` that the generator was made with, which its mapping depends on.

    Raises:
        ValueError: The blur kernels are of different sizes; half a sentence.
    """
    depth = sum(bool(re.fullmatch(r"style\.\d+\.weight", name)) for name in weights)
    official = {"synthesis.b4.const": weights["input.input"][0]}
    for i in range(depth):
        for part in ("weight", "bias"):
            official[f"mapping.fc{i}.{part}"] = weights[f"style.{i + 1}.{part}"]
    measured = latent_avg.float() if latent_avg is not None else _mean_w(official, depth, lr_multiplier)
    official["mapping.w_avg"] = measured.reshape(-1, measured.shape[-1]).mean(dim=0)  # pSp has a row for each layer
    blocks = 1 + sum(bool(re.fullmatch(r"to_rgbs\.\d+\.bias", name)) for name in weights)
    rng = stream("noise maps", 0)
    for i in range(blocks):
        block, size = f"synthesis.b{4 * 2**i}", 4 * 2**i
        convs = {"conv0": f"convs.{2 * i - 2}", "conv1": f"convs.{2 * i - 1}"} if i else {"conv1": "conv1"}
        # The blur kernel of the constructor goes to the convolutions alone; the image keeps the usual one.
        official[f"{block}.resample_filter"] = _filter(weights, f"to_rgbs.{max(0, i - 1)}.upsample.kernel")
        fir = _filter(weights, f"convs.{max(0, 2 * i - 2)}.conv.blur.kernel")
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
    sizes = {len(value) for name, value in official.items() if name.endswith("resample_filter")}
    if len(sizes) > 1:
        raise ValueError(f"its blur kernels have {' and '.join(map(str, sorted(sizes)))} taps; only one will do")
    return official


def _filter(weights: dict[str, Tensor], name: str) -> Tensor:
    """An up-sampling filter that sums to one, from a kernel with gain 4; the usual one where an old file lacks it."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return weights[name] / 4 if name in weights else torch.outer(taps, taps)


def _affine(weights: dict[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    return {f"{ours}.affine.{part}": weights[f"{theirs}.modulation.{part}"] for part in ("weight", "bias")}


def _mean_w(official: dict[str, Tensor], depth: int, lr_multiplier: float) -> Tensor:
    """The mean of w over the prior, by the mapping network itself."""
    x = torch.randn(10_000, official["mapping.fc0.weight"].shape[1], generator=stream("mean of w", 0))
    x = x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    for i in range(depth):
        weight, bias = official[f"mapping.fc{i}.weight"], official[f"mapping.fc{i}.bias"]
        x = F.linear(x, weight * (lr_multiplier / math.sqrt(weight.shape[1])), bias * lr_multiplier)
        x = F.leaky_relu(x, 0.2) * math.sqrt(2)
    return x.mean(dim=0)
