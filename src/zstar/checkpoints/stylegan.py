"""The StyleGAN of 2018 in genforce's layout: its sizes, and what of a file its images do not depend on."""

import re
from typing import Any

from torch import Tensor

CONST = "synthesis.layer0.first_layer"
UNUSED = r"synthesis\.lod|truncation\.truncation|synthesis\.output\d+\..*"


def to_official(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with the colours of the full size alone, and without how far w was truncated by default.

    Raises:
        ValueError: The network has not grown to the end, or the layout is another; half a sentence.
    """
    if CONST not in weights:
        raise ValueError(f"it has no '{CONST}'; of its layouts, genforce's is read")
    lod = weights.get("synthesis.lod")
    if lod is not None and lod.any():
        raise ValueError(f"it draws at lod {lod.item():g}, before its growth has ended")
    output = f"synthesis.output{_depth(weights) // 2 - 1}."
    kept = (name for name in weights if name.startswith(output) or not re.fullmatch(UNUSED, name))
    return {name: weights[name] for name in kept}


def sizes(weights: dict[str, Tensor]) -> dict[str, Any]:
    """The arguments of the two networks, by an official state dict.

    Raises:
        ValueError: A layer is of an impossible shape; half a sentence.
    """
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    widths: dict[int, int] = {}
    for i in range(_depth(weights) // 2):
        resolution, name = 4 * 2**i, f"synthesis.layer{2 * i + 1}.conv.weight"
        width = shapes[name][0]
        # These give the network its size, so a small file must not claim to be a large one.
        if shapes[name] != (width, width, 3, 3) or width == 0:
            raise ValueError(f"'{name}' is {shapes[name]} instead of {(width, width, 3, 3)}")
        noise = f"synthesis.layer{2 * i + 1}.epilogue.apply_noise.noise"
        if shapes[noise] != (1, 1, resolution, resolution):
            raise ValueError(f"'{noise}' is {shapes[noise]} instead of {(1, 1, resolution, resolution)}")
        widths[resolution] = width
    count = sum(bool(re.fullmatch(r"mapping\.dense\d+\.linear\.weight", name)) for name in shapes)
    mapped = [shapes[f"mapping.dense{i}.linear.weight"] for i in range(count)]
    affine = "synthesis.layer0.epilogue.style_mod.dense.linear.weight"
    ends = [*(one[1] for one in mapped[1:]), shapes[affine][1]]
    if [one[0] for one in mapped] != ends or len({*ends[:-1]}) > 1 or 0 in ends:
        raise ValueError(f"its mapping network has weights of {', '.join(map(str, mapped))} for styles of {ends[-1:]}")
    return {
        "widths": widths,
        "channels": shapes[f"synthesis.output{len(widths) - 1}.bias"][0],
        "z_dim": mapped[0][1],
        "w_dim": mapped[-1][0],
        "hidden_dim": mapped[0][0],
        "num_mapping_layers": count,
        "fused": [r for i, r in enumerate(widths) if f"synthesis.layer{2 * i}.weight" in shapes],
    }


def _depth(weights: dict[str, Tensor]) -> int:
    """How many layers the synthesis network has."""
    depth = 0
    while f"synthesis.layer{depth}.epilogue.bias" in weights:
        depth += 1
    if depth < 4 or depth % 2:
        raise ValueError(f"its synthesis network has {depth} layers, and not two for each size from 4×4 on")
    return depth
