"""Strokes of a brush: what they are, where they are, and how they are kept as JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.signatures import nearest

VERSION = 1
MOST_BYTES = 4_000_000
MOST_STROKES = 500
MOST_POINTS = 2000  # of one stroke
Kind = Literal["units", "optimize"]
Mode = Literal["draw", "remove"]
Strength = Literal["low", "med", "high"]
ALPHAS: dict[str, float] = {"low": 1 / 3, "med": 2 / 3, "high": 1.0}
CHOICES = {"kind": get_args(Kind), "mode": get_args(Mode), "strength": get_args(Strength)}


class BadStrokes(ValueError):
    """A file or a message that is no painting. The message is one sentence, without the name of the file."""


@dataclass(frozen=True)
class Stroke:
    """One stroke of a brush.

    Attributes:
        name: The class that it draws or removes.
        points: Where it goes, x to the right and y down, in pixels of the picture, whose corner is (0, 0).
        size: Width of the brush in pixels.
        kind: ``units`` switches units of the generator where the stroke is; ``optimize`` moves the latent until the
            segmenter sees the class there.
        mode: ``draw`` or ``remove``.
        strength: ``low``, ``med`` or ``high``.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    size: float = 8.0
    kind: Kind = "units"
    mode: Mode = "draw"
    strength: Strength = "high"

    @property
    def alpha(self) -> float:
        """The strength as a number: positive where the class is drawn, negative where it is removed."""
        return ALPHAS[self.strength] * (1 if self.mode == "draw" else -1)

    def mask(self, size: int) -> Float[Tensor, "1 1 {size} {size}"]:
        """How much of each pixel it covers, in [0, 1], on a picture of ``size`` pixels a side."""
        points = torch.tensor(self.points, dtype=torch.float32)
        first, last = (points, points) if len(points) == 1 else (points[:-1], points[1:])
        axis = torch.arange(size, dtype=torch.float32) + 0.5
        pixels = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(1, -1, 2)
        nearest_yet = torch.full((size * size,), math.inf)
        for a, way in zip(first.split(64), (last - first).split(64), strict=True):
            a, way = a[:, None], way[:, None]
            along = ((pixels - a) * way).sum(-1, keepdim=True) / way.square().sum(-1, keepdim=True).clamp_min(1e-9)
            distance = (pixels - a - along.clamp(0, 1) * way).norm(dim=-1)
            nearest_yet = torch.minimum(nearest_yet, distance.amin(dim=0))
        return (self.size / 2 - nearest_yet + 0.5).clamp(0, 1).view(1, 1, size, size)


@dataclass(frozen=True)
class Strokes:
    """A painting as it is kept: where it began, and what was done.

    Attributes:
        generator: Fingerprint of the generator.
        picture: Where it began: ``{"sample": seed}``, ``{"image": name}`` of a data set, or ``{"photo": hash}``.
        restyle: Name of a direction → how far.
        strokes: One after the other.
    """

    generator: str
    picture: Mapping[str, Any]
    restyle: Mapping[str, float] = field(default_factory=dict)
    strokes: Sequence[Stroke] = ()

    def to_json(self) -> str:
        """The text of its file."""
        strokes = [asdict(stroke) for stroke in self.strokes]
        content = {"kind": "strokes", "version": VERSION, "generator": self.generator, "picture": dict(self.picture)}
        return json.dumps(content | {"restyle": dict(self.restyle), "strokes": strokes}, indent=1) + "\n"


def read_strokes(text: str | bytes) -> Strokes:
    """The painting in the text of a file.

    Raises:
        BadStrokes: It is none; one sentence.
    """
    if len(text) > MOST_BYTES:
        raise BadStrokes(f"it has {len(text) / 1e6:.1f} MB, and a painting has at most {MOST_BYTES / 1e6:.0f}")
    try:
        content = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadStrokes(f"it is no JSON ({str(error)[:80]}); give a file that paint.py has written") from None
    if not isinstance(content, dict) or content.get("kind") != "strokes":
        raise BadStrokes("it holds no strokes; give a file that paint.py has written")
    if content.get("version") != VERSION:
        raise BadStrokes(f"it is of version {_short(content.get('version'))}, and this program reads {VERSION}")
    _require_keys(content, {"kind", "version", "generator", "picture", "restyle", "strokes"}, "the file")
    generator, restyle, strokes = content["generator"], content["restyle"], content["strokes"]
    if not isinstance(generator, str):
        raise BadStrokes(f"generator is {_short(generator)} and no fingerprint")
    if not isinstance(restyle, dict) or not all(_is_number(value) for value in restyle.values()):
        raise BadStrokes("restyle is no mapping from names to finite numbers")
    if not isinstance(strokes, list) or len(strokes) > MOST_STROKES:
        raise BadStrokes(f"strokes is no list of at most {MOST_STROKES}")
    made = [make_stroke(one, f"strokes[{place}]") for place, one in enumerate(strokes)]
    return Strokes(generator, _picture(content["picture"]), {k: float(v) for k, v in restyle.items()}, made)


def make_stroke(entry: Any, where: str = "stroke") -> Stroke:
    """A stroke from plain values; ``where`` begins the sentence about what is wrong with them.

    Raises:
        BadStrokes: They are none.
    """
    if not isinstance(entry, Mapping):
        raise BadStrokes(f"{where} is {_short(entry)} and no mapping")
    _require_keys(entry, {"name", "points", "size", "kind", "mode", "strength"}, where)
    for key, choices in CHOICES.items():
        if not isinstance(entry[key], str) or entry[key] not in choices:
            raise BadStrokes(f"{where}.{key} is {_short(entry[key])}; choose one of {', '.join(choices)}")
    if not isinstance(entry["name"], str):
        raise BadStrokes(f"{where}.name is {_short(entry['name'])} and no class")
    if not _is_number(entry["size"]) or not 0.5 <= entry["size"] <= 4096:
        raise BadStrokes(f"{where}.size is {_short(entry['size'])}; give pixels, from 0.5 on")
    points = entry["points"]
    if not isinstance(points, Sequence) or isinstance(points, str) or not 1 <= len(points) <= MOST_POINTS:
        raise BadStrokes(f"{where}.points is no list of 1 to {MOST_POINTS} points")
    for point in points:
        pair = isinstance(point, Sequence) and not isinstance(point, str) and len(point) == 2
        if not pair or not all(_is_number(value) and abs(value) <= 1e5 for value in point):
            raise BadStrokes(f"{where}.points has {_short(point)}, which is no pair of numbers")
    kept = {key: entry[key] for key in CHOICES}
    return Stroke(entry["name"], tuple((float(x), float(y)) for x, y in points), float(entry["size"]), **kept)


def _picture(value: Any) -> dict[str, Any]:
    kinds = {"sample": int, "image": str, "photo": str}
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in kinds:
        raise BadStrokes(f"picture is {_short(value)}, and is one of {', '.join(kinds)}")
    ((kind, which),) = value.items()
    if not isinstance(which, kinds[kind]) or isinstance(which, bool) or (kind == "sample" and not 0 <= which < 2**63):
        raise BadStrokes(f"picture.{kind} is {_short(which)}, which tells no {kind}")
    return {kind: which}


def _require_keys(entry: Mapping[str, Any], names: set[str], where: str) -> None:
    if missing := sorted(names - set(entry)):
        raise BadStrokes(f"{where} has no {missing[0]}")
    if unknown := [name for name in entry if name not in names]:
        raise BadStrokes(f"{where} has {_short(unknown[0])}, which is unknown; {nearest(str(unknown[0])[:40], names)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _short(value: Any) -> str:
    return repr(value)[:40]


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
