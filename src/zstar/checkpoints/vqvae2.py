"""Sizes of a VQ-VAE-2 from its state dict, in the layout of rosinality/vq-vae-2-pytorch."""

import re
from typing import Any

from torch import Tensor


def vqvae2_sizes(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of :class:`zstar.generators.vqvae2_networks.VQVAE2Network`.

    Raises:
        KeyError: A name that every VQ-VAE-2 has is missing.
    """
    inner = [name for name in weights if re.fullmatch(r"enc_t\.blocks\.\d+\.conv\.1\.weight", name)]
    half, channels = weights["enc_b.blocks.0.weight"].shape[:2]
    dim, codes = weights["quantize_t.embed"].shape
    return {
        "channels": channels,
        "width": weights["enc_t.blocks.2.weight"].shape[0],
        "blocks": len(inner),
        "inner": len(weights[inner[0]]) if inner else half,
        "dim": dim,
        "codes_t": codes,
        "codes_b": weights["quantize_b.embed"].shape[1],
    }
