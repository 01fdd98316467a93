"""Sizes of a RealNVP from its state dict, in the layout of chrischute/real-nvp."""

from typing import Any

from torch import Tensor


def realnvp_sizes(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of :class:`zstar.generators.realnvp_networks.RealNVPNetwork`.

    Raises:
        KeyError: A name that every RealNVP has is missing.
    """
    first = "flows.in_couplings.0."
    inside = f"{first}st_net.blocks."
    return {
        "channels": len(weights[f"{first}rescale.weight_g"]),
        "width": len(weights[f"{first}st_net.in_conv.conv.weight_g"]),
        "blocks": len({name.removeprefix(inside).split(".")[0] for name in weights if name.startswith(inside)}),
        "scales": 1 + max(name.split(".").count("next_block") for name in weights),
    }
