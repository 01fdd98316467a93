"""Sizes of a VAE from its state dict."""

import math
import re
from typing import Any

from torch import Tensor


def linear_vae_sizes(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of :class:`zstar.generators.vae_networks.LinearVAE`.

    Raises:
        KeyError: A name that each of them has is missing.
        ValueError: It makes no square images.
    """
    hidden, values = weights["fc1.weight"].shape
    fits = [channels for channels in (1, 3) if values == channels * math.isqrt(values // channels) ** 2]
    if not fits:
        raise ValueError(f"{values} values are no square image, grey or in colour")
    size = {"channels": fits[0], "resolution": math.isqrt(values // fits[0])}
    return {**size, "hidden": hidden, "latents": len(weights["fc21.weight"])}


def convolutional_vae_sizes(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of :class:`zstar.generators.vae_networks.ConvolutionalVAE`.

    Raises:
        KeyError: A name that each of them has is missing.
    """
    count = sum(re.fullmatch(r"e\d+\.weight", name) is not None for name in weights)
    widths = [len(weights[f"e{i}.weight"]) for i in range(1, count + 1)]
    latents, inner = weights["fc1.weight"].shape
    side = math.isqrt(inner // widths[-1])
    channels = weights["e1.weight"].shape[1]
    return {"channels": channels, "resolution": side * 2**count, "widths": widths, "latents": latents}
