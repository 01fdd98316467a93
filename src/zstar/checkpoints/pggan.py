"""PGGANs under the names of GAN Dissection, which are those of the published networks in PyTorch.

genforce has the same network with layers that count from 0, biases called ``wscale.bias``, colours at each size
(``output0``, ``output1``, …) and ``lod``, which says at which of them its growth stands.
"""

import re

from torch import Tensor

GENFORCE = "layer0.conv.weight"


def to_official(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of either layout with the colours of the full size alone.

    Raises:
        ValueError: The network has not grown to the end; half a sentence.
    """
    if GENFORCE not in weights:
        return weights
    if weights.get("lod") is not None and weights["lod"].any():
        raise ValueError(f"it draws at lod {weights['lod'].item():g}, before its growth has ended")
    places = {int(match[1]) for name in weights if (match := re.fullmatch(r"layer(\d+)\.conv\.weight", name))}
    size = 4 * 2 ** (len(places) // 2 - 1)
    renamed = {}
    for name, value in weights.items():
        layer, _, part = name.partition(".")
        kind, number = layer.rstrip("0123456789"), layer.lstrip("abcdefghijklmnopqrstuvwxyz")
        part = part.replace("wscale.bias", "wscale.b")
        if kind == "layer":
            renamed[f"layer{int(number) + 1}.{part}"] = value
        elif layer == f"output{len(places) // 2 - 1}":
            renamed[f"output_{size}x{size}.{part}"] = value
        elif kind != "output" and name != "lod":
            renamed[name] = value
    return renamed


def sizes(weights: dict[str, Tensor]) -> tuple[int, dict[int, int], int]:
    """Length of z, resolution → feature channels, and colours, by an official state dict.

    Raises:
        ValueError: A layer that all have is not there; half a sentence.
    """
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    widths: dict[int, int] = {}
    while (second := f"layer{2 * len(widths) + 2}.conv.weight") in shapes:
        width = shapes[second][0]
        if shapes[second] != (width, width, 3, 3) or width == 0:  # a small file must not claim to be a large one
            raise ValueError(f"'{second}' is {shapes[second]} instead of {(width, width, 3, 3)}")
        widths[4 * 2 ** len(widths)] = width
    if len(widths) < 2 or len(shapes.get("layer1.conv.weight", ())) != 4:
        raise ValueError("it has no kernels 'layer1.conv.weight' to 'layer4.conv.weight'")
    output = f"output_{max(widths)}x{max(widths)}.conv.weight"
    if len(shapes.get(output, ())) != 4:
        raise ValueError(f"it has no kernel '{output}'")
    return shapes["layer1.conv.weight"][1], widths, shapes[output][0]
