"""Sizes and settings of BigGAN-deep in HuggingFace's layout: from the weights, and from the configuration beside them.

No shape says which blocks double the size, nor what is added to variances; the configuration does.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from zstar.checkpoints.card_files import card_path, read_card
from zstar.config.paths import place
from zstar.config.reasons import reason

CONFIG = "config.json"
BOTTOM = 4  # height of the map that the first block takes
KEYS = ("layers", "eps")


class HubSizes(NamedTuple):
    """Sizes of a network, from its weights but for ``up``, which comes from the configuration.

    Attributes:
        blocks: Channels that each block takes and makes, and whether it doubles the size.
        attention: Places among the layers, blocks and attentions, that are attentions.
        rows: Rows of the tables of statistics.
        z_dim, class_dim, classes: Lengths of z and of a class's vector, and number of classes.
    """

    blocks: tuple[tuple[int, int, bool], ...]
    attention: tuple[int, ...]
    rows: int
    z_dim: int
    class_dim: int
    classes: int

    @property
    def resolution(self) -> int:
        """Height of the images."""
        return BOTTOM * 2 ** sum(up for _, _, up in self.blocks)

    def made(self, layer: int) -> int:
        """Channels of the map in front of a layer."""
        before = layer - sum(place < layer for place in self.attention)
        return self.blocks[before - 1][1] if before else self.blocks[0][0]


def is_hub(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is in this layout."""
    return "generator.gen_z.weight_orig" in weights


def read_hub(weights: Mapping[str, Tensor], path: str | Path) -> tuple[HubSizes, dict[str, Any]]:
    """The sizes of a network, and the settings that no shape tells: ``layers`` as in the configuration, and ``eps``.

    They are those on the card beside the file, if it says them, else those of ``config.json`` in its folder.

    Raises:
        ValueError: Neither says them, they contradict the weights, or the weights are of no such network; one sentence.
    """
    told, origin = _told(path)
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    try:
        sizes = _sizes(shapes, told["layers"])
    except (ValueError, KeyError, IndexError) as error:  # tensors of any shapes
        why = f"it has no {error}" if isinstance(error, KeyError) else reason(error)
        why = "a tensor of it has too few dimensions" if isinstance(error, IndexError) else why
        raise ValueError(f"checkpoint: {path} holds no BigGAN-deep that can be used ({why})") from None
    for name, said, found in _compared(told, sizes):
        if said != found:
            raise ValueError(
                f"checkpoint: {origin} says {name} {said}, and the weights in {path} are of {found}; give the "
                "configuration that came with them"
            )
    return sizes, {key: told[key] for key in KEYS}


def configured(path: str | Path) -> dict[str, Any]:
    """The settings for the card of a converted file, as far as a configuration beside the file says them."""
    told = read_card(place(path).parent / CONFIG)
    return {key: told[key] for key in KEYS if key in told}


def _told(path: str | Path) -> tuple[dict[str, Any], Path]:
    """The configuration of a file, checked, and where it is from."""
    card, config = card_path(path), place(path).parent / CONFIG
    settings = read_card(path).get("settings") if card != config else None
    told, origin = (settings, card) if settings and isinstance(settings, dict) else (read_card(config), config)
    if not told:
        raise ValueError(
            f"checkpoint: {path} is a BigGAN-deep in HuggingFace's layout, whose weights do not say which blocks "
            f"double the size; put its {CONFIG} beside it"
        )
    layers, eps = told.get("layers"), told.get("eps", 1e-4)
    if not isinstance(layers, list) or not layers or not all(map(_is_layer, layers)):
        raise ValueError(f"checkpoint: {origin} has no 'layers', a list of [whether it doubles, inputs, outputs]")
    if isinstance(eps, bool) or not isinstance(eps, int | float) or not 0 < eps < 1:
        raise ValueError(f"checkpoint: {origin} says eps {repr(eps)[:40]}; it must be a small positive number")
    return {**told, "eps": eps}, origin


def _is_layer(entry: Any) -> bool:
    whole = isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], bool)
    return whole and all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in entry[1:])


def _sizes(shapes: Mapping[str, tuple[int, ...]], layers: list[list[Any]]) -> HubSizes:
    count = 0
    ends, attention = [], []
    while any(f"generator.layers.{count}.{part}" in shapes for part in ("gamma", "conv_0.weight_orig")):
        name = f"generator.layers.{count}"
        if f"{name}.gamma" in shapes:
            attention.append(count)
        else:
            ends.append((shapes[f"{name}.conv_0.weight_orig"][1], shapes[f"{name}.conv_3.weight_orig"][0]))
        count += 1
    if not ends:
        raise ValueError("it has no blocks")
    ups = [up for up, _, _ in layers] + [False] * len(ends)  # another number of them is refused next
    class_dim, classes = shapes["embeddings.weight"]
    first = shapes["generator.gen_z.weight_orig"]
    for inputs, outputs in ends:
        if outputs not in (inputs, inputs // 2):
            raise ValueError(f"a block makes {outputs} channels of {inputs}, and not as many or half as many")
    return HubSizes(
        blocks=tuple((*each, up) for each, up in zip(ends, ups, strict=False)),
        attention=tuple(attention),
        rows=shapes["generator.bn.running_means"][0],
        z_dim=first[1] - class_dim,
        class_dim=class_dim,
        classes=classes,
    )


def _compared(told: Mapping[str, Any], sizes: HubSizes) -> Iterator[tuple[str, Any, Any]]:
    """Name of what a configuration says, what it says, and what the weights are of."""
    width = sizes.blocks[0][0] // told["layers"][0][1]
    yield "layers", told["layers"], [[up, a // max(width, 1), b // max(width, 1)] for a, b, up in sizes.blocks]
    found = {
        "output_dim": sizes.resolution,
        "z_dim": sizes.z_dim,
        "class_embed_dim": sizes.class_dim,
        "channel_width": width,
        "num_classes": sizes.classes,
        "n_stats": sizes.rows,
        "attention_layer_position": sizes.attention[0] if sizes.attention else None,
    }
    for name, value in found.items():
        if name in told:
            yield name, told[name], value
