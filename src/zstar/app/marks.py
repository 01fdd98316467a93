"""Marks on the board: strokes of colour, lines, drags and handles, as plain values and as layers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any, Literal, get_args
from zipfile import ZipFile

import torch
from PIL import Image

from zstar.app.strokes import MOST_POINTS, BadStrokes, Stroke
from zstar.data.handles import Handle
from zstar.data.layers import VERSION, Layer

MarkKind = Literal["color", "sketch", "warp", "point"]
KINDS = get_args(MarkKind)
MOST_MARKS = 100


@dataclass(frozen=True)
class Mark:
    """A mark.

    Attributes:
        kind: ``color``: what is under it is to have its colour. ``sketch``: an edge is to run along it. ``warp``: the
            round patch about its first point is to go to its last point. ``point``: what is at its first point is to
            go to its last point, however it is to look there.
        points: Where it goes, x to the right and y down, in pixels of the picture.
        size: Width of the brush, or of the patch, in pixels.
        color: Red, green and blue, ``#rrggbb``.
    """

    kind: MarkKind
    points: tuple[tuple[float, float], ...]
    size: float
    color: str = "#000000"

    def layer(self, side: int) -> Layer | Handle:
        """The layer or the handle that it is, on a picture of ``side`` pixels.

        Raises:
            BadStrokes: It lies outside of the picture.
        """
        if self.kind == "point":
            return Handle(f"the {NAMES[self.kind]}", (side, side), self.points[0], self.points[-1])
        points = self.points[:1] if self.kind == "warp" else self.points
        alpha = (Stroke("", points, self.size).mask(side)[0, 0] * 255).round().byte()
        if not alpha.any():
            raise BadStrokes(f"the {NAMES[self.kind]} lies outside of the picture")
        color = torch.tensor(list(bytes.fromhex(self.color[1:])), dtype=torch.uint8)
        pixels = torch.cat([color.expand(side, side, 3), alpha[..., None]], dim=-1)
        (x, y), (x1, y1) = self.points[0], self.points[-1]
        by = (x1 - x, y1 - y) if self.kind == "warp" else (0.0, 0.0)
        return Layer(self.kind, f"the {NAMES[self.kind]}", Image.fromarray(pixels.numpy(), "RGBA"), by)

    def plain(self) -> dict[str, Any]:
        """As the page has sent it."""
        return asdict(self)


NAMES = {"color": "stroke", "sketch": "line", "warp": "patch", "point": "handle"}


def make_mark(entry: Any) -> Mark:
    """A mark from plain values.

    Raises:
        BadStrokes: They are none; one sentence.
    """
    if not isinstance(entry, Mapping) or entry.get("kind") not in KINDS:
        raise BadStrokes(f"a mark has no kind; choose one of {', '.join(KINDS)}")
    color, size, points = entry.get("color", "#000000"), entry.get("size"), entry.get("points")
    if (
        not isinstance(color, str)
        or len(color) != 7
        or color[0] != "#"
        or set(color[1:].lower()) - set("0123456789abcdef")
    ):
        raise BadStrokes(f"color is {str(color)[:20]!r} and not #rrggbb")
    if not _is_number(size) or not 0.5 <= size <= 512:
        raise BadStrokes(f"size is {str(size)[:20]!r}; give pixels, from 0.5 on")
    if not isinstance(points, Sequence) or isinstance(points, str) or not 1 <= len(points) <= MOST_POINTS:
        raise BadStrokes(f"points is no list of 1 to {MOST_POINTS} points")
    for point in points:
        pair = isinstance(point, Sequence) and not isinstance(point, str) and len(point) == 2
        if not pair or not all(_is_number(value) and abs(value) <= 1e5 for value in point):
            raise BadStrokes(f"points has {str(point)[:40]!r}, which is no pair of numbers")
    pairs = tuple((float(x), float(y)) for x, y in points)
    if entry["kind"] == "warp" and max(abs(pairs[-1][0] - pairs[0][0]), abs(pairs[-1][1] - pairs[0][1])) < 1:
        raise BadStrokes("a drag leads from one place to another; hold the button down and move")
    return Mark(entry["kind"], pairs, float(size), color.lower())


def read_stay(entry: Mapping[str, Any]) -> float | None:
    """How near the picture is to stay, as a message says beside a mark; ``None`` where it says nothing.

    Raises:
        BadStrokes: It is no number from 0 to 100.
    """
    stay = entry.get("stay")
    if stay is not None and not (_is_number(stay) and 0 <= stay <= 100):
        raise BadStrokes(f"stay is {str(stay)[:20]!r}; give a number from 0 to 100")
    return None if stay is None else float(stay)


def zipped(marks: Sequence[Mark], side: int) -> bytes:
    """Layers and ``strokes.json`` as ``data.strokes=`` takes them, in one zip."""
    buffer, entries = BytesIO(), []
    with ZipFile(buffer, "w") as file:
        for place, mark in enumerate(marks):
            layer, content = mark.layer(side), BytesIO()
            if isinstance(layer, Handle):
                entries.append({"kind": "point", "size": layer.size, "from": layer.start, "to": layer.end})
                continue
            layer.picture.save(content, "PNG")
            name = f"{place:02d}_{mark.kind}.png"
            file.writestr(name, content.getvalue())
            by = {"by": list(layer.by)} if mark.kind == "warp" else {}
            entries.append({"kind": mark.kind, "file": name, **by})
        file.writestr("strokes.json", json.dumps({"kind": "layers", "version": VERSION, "layers": entries}, indent=1))
    return buffer.getvalue()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
