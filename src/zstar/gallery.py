"""The pictures of a report: which images are shown is decided by a rule that is stated beside them."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from zstar.runs import safe_name

EXTREMES, FIRST = 8, 16
SIZE = 256  # pixels; larger pictures are shrunk to this in a report, which stays small enough to be sent around
GAIN = 4


@dataclass(frozen=True)
class Triple:
    """Target, reconstruction and difference as ``data:`` addresses, and the value that the image was chosen by."""

    id: str
    value: float
    target: str
    reconstruction: str
    difference: str
    small: bool


@dataclass(frozen=True)
class Section:
    """Some triples, and the rule that chose them."""

    title: str
    rule: str
    triples: list[Triple]


def sections(folder: Path, values: Mapping[str, float], metric: str, higher_is_better: bool = True) -> list[Section]:
    """The best and the worst images by a metric, and the first ones of the data set; a small set is shown as a whole.

    Arguments:
        folder: A run folder with ``targets`` and ``reconstructions``; images without both are passed over.
        values: Image → value, in the order of the data set.
    """
    kept = {name: value for name, value in values.items() if all(path.is_file() for path in _paths(folder, name))}
    ranked = sorted(kept, key=lambda name: kept[name], reverse=higher_is_better)
    chosen = [
        ("Best", f"The {EXTREMES} images with the best {metric}, best first.", ranked[:EXTREMES]),
        ("Worst", f"The {EXTREMES} images with the worst {metric}, worst first.", ranked[: -EXTREMES - 1 : -1]),
        ("First", f"The first {FIRST} images of the data set, good or bad.", list(kept)[:FIRST]),
    ]
    if len(kept) <= FIRST:
        chosen = [("All images", f"From the best {metric} to the worst.", ranked)] if kept else []
    made = {name: _triple(folder, name, kept[name]) for name in {name for *_, names in chosen for name in names}}
    return [Section(title, rule, [made[name] for name in names]) for title, rule, names in chosen]


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    file = f"{safe_name(name)}.png"
    return folder / "targets" / file, folder / "reconstructions" / file


def _triple(folder: Path, name: str, value: float) -> Triple:
    pair = [Image.open(path).convert("RGB") for path in _paths(folder, name)]
    small = max(pair[0].size) <= SIZE // 2
    for picture in pair:
        picture.thumbnail((SIZE, SIZE), Image.Resampling.BOX)
    target, reconstruction = (np.asarray(picture, dtype=np.int16) for picture in pair)
    difference = Image.fromarray((np.abs(target - reconstruction) * GAIN).clip(0, 255).astype(np.uint8))
    return Triple(name, value, _uri(pair[0]), _uri(pair[1]), _uri(difference), small)


def _uri(picture: Image.Image) -> str:
    buffer = BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
