"""StyleGAN3 by its state dict: names hold the sizes of its layers, and filters tell by how much they resample."""

import re
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor

TAPS = 6  # of a filter, for each factor that it resamples by
LARGEST = 8192  # pixels


class LayerShape(NamedTuple):
    """What there is to know of a layer before its weights.

    Attributes:
        inputs, outputs: Channels.
        in_size, out_size: Height and width of its maps, in pixels.
        kernel: Size of its convolution.
        up_filter, down_filter: Of its two resamplings, [taps] or radially symmetric [taps, taps]; None in the last one.
    """

    inputs: int
    outputs: int
    in_size: int
    out_size: int
    kernel: int
    up_filter: Tensor | None
    down_filter: Tensor | None

    @property
    def factors(self) -> tuple[int, int]:
        """By how much it resamples, up and down."""
        up, down = (1 if taps is None else len(taps) // TAPS for taps in (self.up_filter, self.down_filter))
        return up, down


def sizes(weights: dict[str, Tensor]) -> dict[str, Any]:
    """The arguments of the networks, by an official state dict.

    Raises:
        ValueError: The layers do not fit each other, or the network is conditional; half a sentence.
    """
    _require_mapping(weights)
    found = (re.fullmatch(r"synthesis\.L(\d+)_(\d+)_(\d+)\.weight", name) for name in weights)
    named = sorted(tuple(int(number) for number in match.groups()) for match in found if match)
    layers, size, (inputs, other) = [], named[0][1], weights["synthesis.input.weight"].shape
    if inputs != other:
        raise ValueError(f"'synthesis.input.weight' is {(inputs, other)} and no square")
    for place, (index, out_size, outputs) in enumerate(named):
        name = f"synthesis.L{index}_{out_size}_{outputs}"
        shape, kernel = tuple(weights[f"{name}.weight"].shape), weights[f"{name}.weight"].shape[-1]
        if place != index or shape != (outputs, inputs, kernel, kernel) or 0 in shape:
            raise ValueError(f"'{name}.weight' is {shape} instead of {(outputs, inputs, kernel, kernel)}")
        filters = [weights.get(f"{name}.{way}_filter") for way in ("up", "down")]
        if any(taps is not None and len(taps) % TAPS for taps in filters):
            raise ValueError(f"a filter of '{name}' has no multiple of {TAPS} taps")
        layers.append(LayerShape(inputs, outputs, size, out_size, kernel, *filters))
        inputs, size = outputs, out_size
    return {
        "layers": layers,
        "sampling_rate": _first_rate(layers),
        "z_dim": weights["mapping.fc0.weight"].shape[1],
        "w_dim": len(weights["mapping.w_avg"]),
        "num_mapping_layers": len(_mapping(weights)),
    }


def _mapping(weights: dict[str, Tensor]) -> list[str]:
    return [name for name in weights if re.fullmatch(r"mapping\.fc\d+\.weight", name)]


def _require_mapping(weights: dict[str, Tensor]) -> None:
    """Refuse a mapping network with classes, or whose layers do not fit each other: a small file would claim a large
    one."""
    if "mapping.embed.weight" in weights:
        raise ValueError("it is a conditional one, whose classes are not read")
    w_dim = len(weights["mapping.w_avg"])
    for name in _mapping(weights):
        shape, wanted = tuple(weights[name].shape), (w_dim, w_dim)
        if shape[:1] != wanted[:1] or (name != "mapping.fc0.weight" and shape != wanted) or 0 in shape:
            raise ValueError(f"'{name}' is {shape} instead of {wanted}")


def _first_rate(layers: list[LayerShape]) -> int:
    """Samples per picture width of the first layer's input, by what the layers from there to the picture resample."""
    last = rate = layers[-1].out_size
    rates = [rate]
    for layer in reversed(layers):
        up, down = layer.factors
        if not up or not down or rate * down % up:
            raise ValueError(f"its filters resample by {up} and {down} at {rate} pixels")
        rate = rate * down // up
        rates.append(rate)
    margins = {layer.in_size - rate for layer, rate in zip(layers, reversed(rates[1:]), strict=True)} - {0}
    shrinks = any(two[1].in_size < two[0].in_size for two in pairwise(layers[:-2]))
    if len(margins) > 1 or min(margins, default=0) < 0 or shrinks or last + max(margins, default=0) > LARGEST:
        raise ValueError(f"its layers have sizes that its filters do not give, of {last} pixels at the end")
    return rate
