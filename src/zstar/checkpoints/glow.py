"""Sizes of a Glow from its state dict, in the layout of rosinality/glow-pytorch."""

import re
from typing import Any

from torch import Tensor


def glow_sizes(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of :class:`zstar.generators.glow_networks.GlowNetwork`.

    Whether 1×1 convolutions are triangular is told block by block: the published network leaves the last one so
    whatever is asked of the others.

    Raises:
        KeyError: A name that every Glow has is missing.
    """
    places = [match for name in weights if (match := re.match(r"blocks\.(\d+)\.flows\.(\d+)\.", name))]
    blocks, steps = (1 + max(int(match[group]) for match in places) for group in (1, 2))
    inner = weights["blocks.0.flows.0.actnorm.loc"].shape[1]
    return {
        "channels": inner // 4,
        "steps": steps,
        "width": len(weights["blocks.0.flows.0.coupling.net.0.weight"]),
        "affine": len(weights["blocks.0.flows.0.coupling.net.4.conv.weight"]) == inner,
        "lu": [f"blocks.{i}.flows.0.invconv.weight" not in weights for i in range(blocks)],
    }
