"""Sizes and settings of BigGAN and BigGAN-deep in ajbrock's layout, from the shapes of the weights and from a card."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from zstar.checkpoints.io import card_path, read_card
from zstar.config.reasons import reason

DEEPER = r"\.bn\.(?:stored|running)_(mean|var)$"  # one module of batch norm in another


class Sizes(NamedTuple):
    """Sizes of a BigGAN.

    Attributes:
        blocks: Channels that each block takes and makes, and whether it doubles the size.
        attention: Places of the blocks with attention behind them.
        bottom: Height of the map that the first block takes.
        channels: Colours.
        z_dim, shared_dim, classes: Lengths of z and of the class vector, and number of classes.
        hierarchical: Whether z goes to the blocks too: a part of its own to each of BigGAN, all of it of BigGAN-deep.
    """

    blocks: tuple[tuple[int, int, bool], ...]
    attention: tuple[int, ...]
    bottom: int
    channels: int
    z_dim: int
    shared_dim: int
    classes: int
    hierarchical: bool

    @property
    def resolution(self) -> int:
        """Height of the images."""
        return self.bottom * 2 ** sum(up for _, _, up in self.blocks)


def plain_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under the official names of a network that was trained on one GPU.

    Those of a whole generator of this package have a word in front; trainings with ``cross_replica`` or ``mybn`` keep
    the statistics of batch norm one level deeper, beside a counter.
    """
    plain = {name.removeprefix("network."): value for name, value in weights.items()}
    counters = ("bn.accumulation_counter", "bn.num_batches_tracked")
    return {re.sub(DEEPER, r".stored_\1", name): value for name, value in plain.items() if not name.endswith(counters)}


def read_sizes(weights: Mapping[str, Tensor], depth: int | None, path: object) -> Sizes:
    """The sizes of a state dict.

    Arguments:
        weights: By ajbrock's names.
        depth: Blocks of BigGAN-deep at each resolution, of which the last doubles it; None for BigGAN.
        path: Where the weights are from, for errors.

    Raises:
        ValueError: They are not those of such a network; one sentence.
    """
    title = "BigGAN" if depth is None else "BigGAN-deep"
    try:
        if "shared.weight" not in weights:
            raise ValueError("its classes share no embedding (G_shared), without which it has no space of classes")
        return _read_sizes({name: tuple(value.shape) for name, value in weights.items()}, depth)
    except (ValueError, KeyError, IndexError, ZeroDivisionError) as error:  # tensors of any shapes
        why = f"it has no {error}" if isinstance(error, KeyError) else reason(error)
        why = "a tensor of it has too few dimensions" if isinstance(error, IndexError) else why
        raise ValueError(f"checkpoint: {path} holds no {title} that can be used ({why})") from None


def _read_sizes(shapes: Mapping[str, tuple[int, ...]], depth: int | None) -> Sizes:
    last = "conv2" if depth is None else "conv4"
    count = 0
    while f"blocks.{count}.0.conv1.weight" in shapes:
        count += 1
    if not count:
        raise KeyError("blocks.0.0.conv1.weight")
    if depth and count % depth:
        raise ValueError(f"its {count} blocks are not {depth} at each resolution; set generator.depth")
    ends = [(shapes[f"blocks.{i}.0.conv1.weight"][1], shapes[f"blocks.{i}.0.{last}.weight"][0]) for i in range(count)]
    classes, shared_dim = shapes["shared.weight"]
    first, condition = shapes["linear.weight"], shapes["blocks.0.0.bn1.gain.weight"][1]
    if depth is None:
        z_dim = first[1] if condition == shared_dim else first[1] * (count + 1)
    else:
        z_dim = first[1] if condition == shared_dim else first[1] - shared_dim
    bottom = math.isqrt(first[0] // ends[0][0])
    if bottom < 1 or bottom**2 * ends[0][0] != first[0]:
        raise ValueError(f"'linear.weight' {first} makes no square map of {ends[0][0]} channels")
    return Sizes(
        blocks=tuple((a, b, depth is None or (i + 1) % depth == 0) for i, (a, b) in enumerate(ends)),
        attention=tuple(i for i in range(count) if f"blocks.{i}.1.gamma" in shapes),
        bottom=bottom,
        channels=shapes["output_layer.2.weight"][0],
        z_dim=z_dim,
        shared_dim=shared_dim,
        classes=classes,
        hierarchical=condition != shared_dim,
    )


def card_settings(path: str | Path, assumed: Mapping[str, Any]) -> dict[str, Any]:
    """What no shape tells: from ``settings`` on the card beside a file, or as it is assumed.

    Raises:
        ValueError: The card says something else, or what is no positive number; one sentence.
    """
    told = read_card(path).get("settings", {})
    unknown = sorted(set(told) - set(assumed)) if isinstance(told, dict) else ["which is no mapping"]
    wrong = f"checkpoint: the card {card_path(path)} cannot be used"
    if unknown:
        raise ValueError(f"{wrong} (settings: '{unknown[0]}' is not for it to say; it may say {', '.join(assumed)})")
    for name, value in told.items():
        kind = int if isinstance(assumed[name], int) else int | float
        if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < math.inf:
            raise ValueError(f"{wrong} (settings.{name} is {repr(value)[:40]}; it must be a positive number)")
    return {**assumed, **told}
