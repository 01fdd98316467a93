"""Sheets of many small pictures: one for each method, together small enough for a page that is sent around."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from zstar.reports.pages import data_uri

COLUMNS = 8  # pictures side by side in a sheet
BUDGET = 4_500_000  # characters of all sheets together as text in a page
# Largest side in pixels and quality of WebP (none: lossless); the last is taken however large the sheets come out.
LADDER: tuple[tuple[int, int | None], ...] = (
    (128, None),
    (128, 95),
    (128, 88),
    (128, 80),
    (64, 88),
    (64, 80),
    (64, 65),
    (48, 65),
)


@dataclass(frozen=True)
class Sheet:
    """Pictures beside and below each other, in the order of their names; the address is empty where there are none."""

    names: list[str]
    address: str


@dataclass(frozen=True)
class Atlas:
    """Sheets whose pictures have one size and one quality, so that no method looks worse for how it is stored.

    Attributes:
        sheets: One for each group of files, in the order of the groups.
        width, height: Of one picture in pixels.
        natural: Width of the pictures in their files.
        quality: Of WebP; ``None`` is lossless.
    """

    sheets: list[Sheet]
    width: int
    height: int
    natural: int
    quality: int | None


def pack(groups: Sequence[Mapping[str, Path]], budget: int = BUDGET) -> Atlas:
    """Put each group of pictures (name → file) on a sheet; files that are missing are passed over.

    Size and quality are the best at which all sheets together stay within ``budget`` characters.
    """
    pictures = [{name: _read(path) for name, path in group.items() if path.is_file()} for group in groups]
    first = next((picture for group in pictures for picture in group.values()), None)
    if first is None:
        return Atlas([Sheet([], "") for _ in groups], 1, 1, 1, None)
    tried: set[tuple[tuple[int, int], int | None]] = set()
    for side, quality in LADDER:
        size = _fit(first[1], side)
        if (size, quality) in tried:
            continue
        tried.add((size, quality))
        sheets, length = [], 0
        for group in pictures:
            sheets.append(_sheet({name: picture for name, (picture, _) in group.items()}, size, quality))
            length += len(sheets[-1].address)
            if length > budget and (side, quality) != LADDER[-1]:
                break  # no need to see how much too large it is
        else:
            break
    return Atlas(sheets, *size, first[1][0], quality)


def _read(path: Path) -> tuple[Image.Image, tuple[int, int]]:
    """A picture, shrunk to the largest size that is ever used, and the size that it has in its file."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    size = picture.size
    picture.thumbnail((LADDER[0][0],) * 2, Image.Resampling.BOX)
    return picture, size


def _fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    factor = min(1.0, side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _sheet(pictures: Mapping[str, Image.Image], size: tuple[int, int], quality: int | None) -> Sheet:
    if not pictures:
        return Sheet([], "")
    width, height = size
    sheet = Image.new("RGB", (width * min(COLUMNS, len(pictures)), height * -(-len(pictures) // COLUMNS)))
    for index, picture in enumerate(pictures.values()):
        shown = picture if picture.size == size else picture.resize(size, Image.Resampling.BOX)
        sheet.paste(shown, (index % COLUMNS * width, index // COLUMNS * height))
    buffer = BytesIO()
    if quality is None:
        sheet.save(buffer, format="WEBP", lossless=True, quality=60, method=3)
    else:
        sheet.save(buffer, format="WEBP", quality=quality, method=4)
    return Sheet(list(pictures), data_uri(buffer.getvalue(), "image/webp"))
