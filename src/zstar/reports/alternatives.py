"""What strokes have led to, for the page of a projection."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zstar.reports.pages import data_uri
from zstar.runs.folder import safe_name

SHOWN = 16  # images
FILES = (("strokes", ".png"), ("alternatives", ".png"), ("dragged", ".png"), ("morphs", ".gif"))


@dataclass(frozen=True)
class Alternatives:
    """The pictures of an image as ``data:`` addresses: its strokes, the alternatives, or the picture before and after
    its handles were dragged, and the way to the best of them; empty where there are none."""

    id: str
    strokes: str
    alternatives: str
    dragged: str
    morph: str


def find_alternatives(folder: Path, names: Iterable[str]) -> list[Alternatives]:
    """Those of the first images that have some, by what is in a run folder."""
    found = []
    for name in names:
        files = [folder / kind / f"{safe_name(name)}{suffix}" for kind, suffix in FILES]
        if any(file.is_file() for file in files) and len(found) < SHOWN:
            found.append(Alternatives(name, *map(_address, files)))
    return found


def _address(file: Path) -> str:
    return data_uri(file.read_bytes(), f"image/{file.suffix[1:]}") if file.is_file() else ""
