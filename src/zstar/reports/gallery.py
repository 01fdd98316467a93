"""Pictures of a report, chosen by rules that are stated beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from zstar.reports.pages import data_uri
from zstar.runs.folder import safe_name
from zstar.runs.threads import read_all

EXTREMES, FIRST = 8, 16
SIZE = 256  # pixels; larger pictures are shrunk to this, so that a report is small enough to be sent around
GAIN = 4  # of the drawn differences


@dataclass(frozen=True)
class Strip:
    """The pictures of an image by name as ``data:`` addresses, and the value that the image was chosen by.

    The pictures are the target, what an operator left of it, what the last projector of the chain started from (both
    where a run has them), the reconstruction, and its difference from the target; ``start`` is the value at that start.
    """

    id: str
    value: float
    start: float | None
    pictures: dict[str, str]
    small: bool


@dataclass(frozen=True)
class Section:
    """Some strips, and the rule that chose them."""

    title: str
    rule: str
    strips: list[Strip]


def sections(
    folder: Path,
    values: Mapping[str, float],
    metric: str,
    higher_is_better: bool = True,
    starts: Mapping[str, float] = MappingProxyType({}),
) -> list[Section]:
    """The best and the worst images by a metric, and the first ones of the data set; a small set is shown as a whole.

    Arguments:
        folder: A run folder with ``targets``, ``reconstructions`` and perhaps ``observed`` and ``starts``; images
            without both of the former are passed over.
        values: Image → value, in the order of the data set.
        starts: Image → value that the last projector of the chain started from.
    """
    needed = ("targets", "reconstructions")
    kept = {n: value for n, value in values.items() if all(_path(folder, kind, n).is_file() for kind in needed)}
    ranked = sorted(kept, key=lambda name: kept[name], reverse=higher_is_better)
    chosen = [
        ("Best", f"The {EXTREMES} images with the best {metric}, best first.", ranked[:EXTREMES]),
        ("Worst", f"The {EXTREMES} images with the worst {metric}, worst first.", ranked[: -EXTREMES - 1 : -1]),
        ("First", f"The first {FIRST} images of the data set, good or bad.", list(kept)[:FIRST]),
    ]
    if len(kept) <= FIRST:
        chosen = [("All images", f"From the best {metric} to the worst.", ranked)] if kept else []
    shown = {name for *_, names in chosen for name in names}
    strips = read_all(lambda name: _strip(folder, name, kept[name], starts.get(name)), shown)
    made = dict(zip(shown, strips, strict=True))
    return [Section(title, rule, [made[name] for name in names]) for title, rule, names in chosen]


def difference(a: UInt8[np.ndarray, "h w c"], b: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w c"]:
    """Absolute difference of two pictures, amplified by ``GAIN``."""
    return (np.abs(a.astype(np.int16) - b) * GAIN).clip(0, 255).astype(np.uint8)


def _path(folder: Path, kind: str, name: str) -> Path:
    return folder / kind / f"{safe_name(name)}.png"


def _strip(folder: Path, name: str, value: float, start: float | None) -> Strip:
    folders = {"target": "targets", "observed": "observed", "start": "starts", "reconstruction": "reconstructions"}
    files = {kind: _path(folder, place, name) for kind, place in folders.items()}
    pictures = {kind: Image.open(path).convert("RGB") for kind, path in files.items() if path.is_file()}
    small = max(pictures["target"].size) <= SIZE // 2
    for picture in pictures.values():
        picture.thumbnail((SIZE, SIZE), Image.Resampling.BOX)
    target, reconstruction = (np.asarray(pictures[kind]) for kind in ("target", "reconstruction"))
    pictures["difference"] = Image.fromarray(difference(target, reconstruction))
    return Strip(name, value, start, {kind: _uri(picture) for kind, picture in pictures.items()}, small)


def _uri(picture: Image.Image) -> str:
    buffer = BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return data_uri(buffer.getvalue(), "image/png")
