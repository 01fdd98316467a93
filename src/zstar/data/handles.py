"""Handles of a user: points of a picture, and where they are to be dragged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.data.decoding import BadImage
from zstar.data.reading import Fit

MOST_HANDLES = 16  # of an image
SIZE = "the width and height of the picture in pixels"
Pair = tuple[float, float]


@dataclass(frozen=True)
class Handle:
    """A point that is to be dragged to another place; to its own place, if it is to stay.

    Attributes:
        file: Where it is said, for sentences about it.
        size: Width and height in pixels of the picture that it is counted in.
        start, end: Where it is and where it is to be, x to the right and y down, from the picture's corner.
    """

    kind: ClassVar[str] = "point"

    file: str
    size: Pair
    start: Pair
    end: Pair


def read_handle(entry: Mapping[str, Any], where: str) -> Handle:
    """A handle from plain values; ``where`` begins the sentence about what is wrong with them.

    Raises:
        BadImage: They are none.
    """
    wanted = {"kind", "size", "from", "to"}
    if unknown := sorted(set(entry) - wanted) or sorted(wanted - set(entry)):
        raise BadImage(f"{where}: a point has {', '.join(sorted(wanted))}, and '{unknown[0]}' does not fit that")
    width, height = _pair(entry["size"], f"{where}.size", SIZE)
    if min(width, height) < 1:
        raise BadImage(f"{where}.size is {str(entry['size'])[:60]!r}; give {SIZE}")
    ends = []
    for key in ("from", "to"):
        x, y = _pair(entry[key], f"{where}.{key}", "two numbers of pixels, from the left and from the top")
        if not (0 <= x <= width and 0 <= y <= height):
            size = f"{width:g} × {height:g}"
            raise BadImage(f"{where}.{key} is {str(entry[key])[:60]!r} and outside of the picture of {size} pixels")
        ends.append((x, y))
    return Handle(where, (width, height), *ends)


def place_handles(handles: Sequence[Handle], size: int, fit: Fit) -> Float[Tensor, "k 2 2"]:
    """Where handles are and are to be, in pixels of a picture that has become a square of ``size``.

    There are always ``MOST_HANDLES`` rows, so that images with few and with many fit together; NaN where there is none.

    Raises:
        BadImage: There are too many, or one of them is outside of the part of the picture that is used.
    """
    if len(handles) > MOST_HANDLES:
        raise BadImage(f"there are {len(handles)} points; keep at most {MOST_HANDLES} of them")
    placed = torch.full((MOST_HANDLES, 2, 2), torch.nan)
    for row, handle in enumerate(handles):
        for column, point in enumerate((handle.start, handle.end)):
            placed[row, column] = torch.tensor(_squared(point, handle.size, size, fit))
        if placed[row].min() < 0 or placed[row].max() > size:
            raise BadImage(f"{handle.file} is outside of the part of the picture that is used, its middle square")
    return placed


def _squared(point: Pair, sides: Pair, size: int, fit: Fit) -> Pair:
    """A point of a picture in the square that the picture becomes."""
    if fit == "resize":
        x, y = (value * size / side for value, side in zip(point, sides, strict=True))
        return x, y
    whole = max(sides) if fit == "pad" else min(sides)
    x, y = ((value - (side - whole) / 2) * size / whole for value, side in zip(point, sides, strict=True))
    return x, y


def _pair(value: Any, where: str, wanted: str) -> Pair:
    pair = isinstance(value, list | tuple) and len(value) == 2 and all(type(one) in (int, float) for one in value)
    if not pair or not all(abs(one) <= 1e5 for one in value):
        raise BadImage(f"{where} is {str(value)[:60]!r}; give {wanted}")
    return float(value[0]), float(value[1])
