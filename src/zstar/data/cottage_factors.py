"""The factors of the cottage world: their names, ranges and meanings, and how image number i gets its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Factor:
    """One named number that an image is a function of.

    Attributes:
        low, high: Its range (0 and 1 for a flag).
        unit: What it is measured in; "width" and "height" are fractions of the picture's side.
        kind: "continuous" is uniform in [low, high]; "flag" is 1 with ``probability``, else 0.
        meaning: What a higher value does to the picture.
        probability: Share of images whose flag is 1.
    """

    low: float
    high: float
    unit: str
    kind: Literal["continuous", "flag"]
    meaning: str
    probability: float = 1.0


def _range(low: float, high: float, unit: str, meaning: str) -> Factor:
    return Factor(low, high, unit, "continuous", meaning)


def _flag(probability: float, meaning: str) -> Factor:
    return Factor(0.0, 1.0, "flag", "flag", meaning, probability)


FACTORS: dict[str, Factor] = {
    "time_of_day": _range(
        0.0, 1.0, "noon to dusk", "Lower, redder sun; warmer, then violet light; windows lit from 0.4."
    ),
    "season": _range(0.0, 1.0, "summer to autumn", "Crowns turn from green to orange, grass from green to straw."),
    "sun_present": _flag(0.75, "There is a sun."),
    "sun_x": _range(0.08, 0.92, "width", "The sun's centre lies further right."),
    "cloud_left_present": _flag(0.5, "There is a cloud in the left half."),
    "cloud_right_present": _flag(0.5, "There is a cloud in the right half."),
    "cloud_x": _range(-0.12, 0.12, "width", "The wind has carried the clouds further right."),
    "hill_height": _range(0.0, 1.0, "relative", "Both ridges are higher and steeper."),
    "house_x": _range(0.41, 0.59, "width", "The building's centre lies further right."),
    "house_width": _range(0.42, 0.52, "width", "The building is wider, its door and windows with it."),
    "roof_height": _range(0.15, 0.24, "height", "The roof or dome is higher."),
    "is_chapel": _flag(0.4, "The building is a chapel with a dome, not a cottage with a pitched roof."),
    "wall_warmth": _range(0.0, 1.0, "relative", "Walls turn from cool white to warm sandstone."),
    "roof_hue": _range(0.0, 1.0, "slate to red", "Roof or dome turns from slate blue to brick red."),
    "chimney_present": _flag(0.7, "A cottage has a chimney (a chapel never has)."),
    "door_present": _flag(0.8, "The building has a door."),
    "door_x": _range(-1.0, 1.0, "relative", "The door lies further right, between the windows."),
    "window_present": _flag(0.8, "The building has two windows."),
    "window_size": _range(0.8, 1.2, "relative", "The windows are larger."),
    "tree_left_present": _flag(0.65, "There is a tree to the left."),
    "tree_left_x": _range(0.05, 0.2, "width", "The left tree stands further right."),
    "tree_right_present": _flag(0.65, "There is a tree to the right."),
    "tree_right_x": _range(0.8, 0.95, "width", "The right tree stands further right."),
    "tree_size": _range(0.85, 1.25, "relative", "Both trees are larger."),
}

SPLITS = ("train", "validation", "test")
_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15, as a signed 64-bit integer


def _signed(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def _mix(state: Int64[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """The finalizer of splitmix64, a bijection of 64-bit integers (https://doi.org/10.1145/2660193.2660195)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ ((state >> shift) & (2 ** (64 - shift) - 1))) * _signed(factor)
    return state ^ ((state >> 31) & (2**33 - 1))


def sample_factors(indices: Int64[Tensor, " n"] | Sequence[int], split: str, seed: int = 0) -> Float[Tensor, "n k"]:
    """The factors of images ``indices`` of a split: a pure function of (seed, split, index), in any order or batch.

    Every value is a hash of its own counter, so nothing is stored and a million images need no disk. Train, validation
    and test can't overlap, whatever the seeds and indices: ``time_of_day`` is a multiple of 2⁻²⁴, and the last two of
    its bits are the number of the split.

    Raises:
        ValueError: ``split`` is none of "train", "validation", "test".
    """
    if split not in SPLITS:
        raise ValueError(f"data.split is {split!r}; choose one of {', '.join(SPLITS)}.")
    number = SPLITS.index(split)
    index = torch.as_tensor(list(indices) if not isinstance(indices, Tensor) else indices, dtype=torch.int64)
    seeds = _mix(torch.tensor([_signed(seed * 4 + number)]))
    keys = _mix(seeds + _mix(index * _GOLDEN + 1))[:, None]
    bits = (_mix(keys + torch.arange(1, len(FACTORS) + 1) * _GOLDEN) >> 40) & (2**24 - 1)
    bits[:, 0] = (bits[:, 0] & ~3) | number
    uniform = bits.to(torch.float32) / 2**24
    columns = [
        (uniform[:, i] < f.probability).float() if f.kind == "flag" else f.low + (f.high - f.low) * uniform[:, i]
        for i, f in enumerate(FACTORS.values())
    ]
    return torch.stack(columns, dim=1)
