"""Parts of the page of a dissection: pictures, rows, and what its script is told."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

import polars as pl
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from zstar.dissecting.legends import legend
from zstar.dissecting.words import INTRODUCTIONS, caption
from zstar.dissection.agreeing import COLUMNS
from zstar.dissection.base import Findings
from zstar.images import to_pil
from zstar.reports.pages import data_uri

LADDER = ((1600, 88, 1.0), (1400, 80, 1.0), (1200, 72, 0.75), (900, 65, 0.5), (700, 55, 0.375))
"""Widest picture, quality of WebP, and size of the small pictures of units; the first that fits into a page."""

SHORT, LONG = 12, 200  # rows of a table that is shown at once, and that can be unfolded
STRONGEST = 6  # classes of a unit that are listed


def encode(found: Mapping[str, Findings], first: Findings | None, budget: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """All pictures of a page as addresses, at the best quality at which they fit together.

    Returns:
        Analysis/picture → its address and width, and the sheet of the pictures of units with the size of one.
    """
    pictures: dict[str, Any] = {}
    sheet: dict[str, Any] = {"src": "", "tile": 0}
    for widest, quality, share in LADDER:
        pictures = {
            f"{name}/{title}": _shown(picture, widest, quality)
            for name, one in found.items()
            if one is not first
            for title, picture in one.pictures.items()
        }
        if first is not None:
            sheet = _sheet(first.pictures["samples"], share, quality)
        if len(sheet["src"]) + sum(len(one["src"]) for one in pictures.values()) <= budget:
            break
    return pictures, sheet


def _shown(picture: Float[Tensor, "c h w"], widest: int, quality: int) -> dict[str, Any]:
    image = to_pil(picture).convert("RGB")
    image.thumbnail((widest, 4 * widest))
    return {"src": _webp(image, quality), "width": image.width, "height": image.height}


def _sheet(picture: Float[Tensor, "c h w"], share: float, quality: int) -> dict[str, Any]:
    image = to_pil(picture).convert("RGB")
    tile = max(16, round(image.width // COLUMNS * share))
    rows = image.height // (image.width // COLUMNS)
    image = image.resize((tile * COLUMNS, tile * rows), Image.Resampling.BOX)
    return {"src": _webp(image, quality), "tile": tile}


def _webp(image: Image.Image, quality: int) -> str:
    buffer = BytesIO()
    image.save(buffer, format="WEBP", quality=quality)
    return data_uri(buffer.getvalue(), "image/webp")


def unit_rows(first: Findings) -> list[dict[str, Any]]:
    """The rows of the table of units, those first that agree best beyond masks of other pictures."""
    table = first.tables["units"].with_columns(beyond=pl.col("iou") - pl.col("shuffled"))
    return table.sort("beyond", descending=True, maintain_order=True).to_dicts()


def atlas(first: Findings, sheet: Mapping[str, Any]) -> dict[str, Any]:
    """Pictures and outlines of each unit, and the classes that it agrees best with."""
    tops: dict[str, list[Any]] = {}
    for row in first.tables["tops"].sort("layer", "unit", "rank").to_dicts():
        tops.setdefault(f"{row['layer']} {row['unit']}", []).append([row["place"], row["outline"]])
    pairs: dict[str, list[Any]] = {}
    best = first.tables["agreement"].sort("iou", descending=True, maintain_order=True)
    for row in best.group_by("layer", "unit", maintain_order=True).head(STRONGEST).to_dicts():
        place = f"{row['layer']} {row['unit']}"
        pairs.setdefault(place, []).append([row["class"], round(row["iou"], 4), round(row["shuffled"], 4)])
    return {"sheet": sheet["src"], "tile": sheet["tile"], "columns": COLUMNS, "tops": tops, "pairs": pairs}


def effects(found: Mapping[str, Findings]) -> dict[str, dict[str, list[Any]]]:
    """For each table with an effect of single units on classes: layer and unit → class, effect and its interval."""
    made: dict[str, dict[str, list[Any]]] = {}
    for name, one in found.items():
        for title, table in one.tables.items():
            if {"layer", "unit", "class", "effect"} <= set(table.columns):
                own = made.setdefault(f"{name}: {title}", {})
                strongest = table.sort(pl.col("effect").abs(), descending=True, maintain_order=True)
                for row in strongest.group_by("layer", "unit", maintain_order=True).head(STRONGEST).to_dicts():
                    numbers = [row[key] for key in ("effect", "low", "high") if row.get(key) is not None]
                    own.setdefault(f"{row['layer']} {row['unit']}", []).append([row["class"], *numbers])
    return made


def sections(found: Mapping[str, Findings], pictures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is shown of each analysis."""
    made = []
    for name, one in found.items():
        facts = [(key, _text(value)) for key, value in one.summary.items() if isinstance(value, str | int | float)]
        said, told = one.summary.get("sentences"), one.summary.get("captions") or {}
        made.append(
            {
                "name": name,
                "sentences": said if isinstance(said, list | tuple) else [],
                "facts": facts,
                "introduction": INTRODUCTIONS.get(name, ""),
                "pictures": [(told.get(title, caption(title)), pictures[f"{name}/{title}"]) for title in one.pictures],
                "tables": list(_tables(name, one)),
            }
        )
    return made


def _tables(analysis: str, found: Findings) -> Iterator[dict[str, Any]]:
    for title, table in found.tables.items():
        plain = [name for name, kind in table.schema.items() if not kind.is_nested()]
        rows = table.select(plain).head(LONG).rows()
        yield {
            "name": title,
            "legend": legend(analysis, title),
            "columns": plain,
            "rows": [[_text(entry) for entry in row] for row in rows],
            "short": table.height <= SHORT,
            "height": table.height,
            "shown": len(rows),
        }


def _text(entry: Any) -> str:
    """An entry of a table: numbers with four digits."""
    if entry is None:
        return "–"
    return f"{entry:.4g}".replace("-", "−") if isinstance(entry, float) else str(entry)
