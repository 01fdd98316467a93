"""Report of an editing run: one HTML page with its strips, moving pictures and numbers."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from zstar.config.paths import read_text
from zstar.images import shrink, to_pil
from zstar.reports.numbers import decimals, show
from zstar.reports.pages import data_uri, template
from zstar.runs.folder import safe_name, write_text

STRIPS = 12  # strips shown of each direction; the folder has all
SIZE, WIDEST, QUALITY = 192, 1600, 90  # pixels of a picture in the page, of one with captions, and of their WebP


def write_edit_report(
    folder: str | Path, result: Mapping[str, Any], shown: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Path:
    """Write ``report.html`` from the films in ``folder`` and the content of ``result.json``.

    Arguments:
        shown: Name of each sheet → its strips, as :func:`preview` makes them.
    """
    folder = Path(folder)
    page = template("editing.html.jinja").render(
        result={"version": None, "commit": None, "dirty": False, "left_out": {}} | dict(result),
        sections=[_section(folder, sheet, result, shown[sheet["name"]]) for sheet in result["sheets"]],
        paths=[
            {"name": name, "strip": _picture(folder / "interpolations" / f"{name}.png"),
             "film": _film(folder / "interpolations" / name)}
            for name in result["interpolations"]
        ],
        mixing=_mixing(folder, result.get("mixing")),
        shown=STRIPS,
        config=read_text(folder / "config.yaml"),
        style="",
    )  # fmt: skip
    return write_text(folder / "report.html", page)


def preview(name: str, cells: Float[Tensor, "k c h w"], labels: Sequence[str], columns: int) -> dict[str, Any]:
    """A strip for the page: its pictures, as small as they are shown, with their labels."""
    pictures = [_webp(to_pil(cell)) for cell in shrink(cells, SIZE)]
    found = [{"label": label, "uri": uri if label else ""} for label, uri in zip(labels, pictures, strict=True)]
    return {"id": name, "columns": columns, "cells": found, "small": cells.shape[-1] < SIZE}


def _picture(path: Path) -> str:
    """A picture with captions, no wider than any screen."""
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((WIDEST, 2 * WIDEST))
    return _webp(picture)


def _webp(picture: Image.Image) -> str:
    buffer = BytesIO()
    picture.convert("RGB").save(buffer, format="WEBP", quality=QUALITY)
    return data_uri(buffer.getvalue(), "image/webp")


def _section(
    folder: Path, sheet: Mapping[str, Any], result: Mapping[str, Any], strips: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Pictures and numbers of a sheet, for the template."""
    name = safe_name(sheet["name"])
    parts = [part for part, _ in sheet["combinations"][0]]
    return {
        "name": sheet["name"],
        "directions": {part: result["directions"][part] for part in parts},
        "film": _film(folder / "animations" / name),
        "strips": strips,
        "rows": [
            {
                "metric": metric if len(parts) == 1 else f"{part}: {metric}",
                "single": metric.count("/") > 1,  # one factor of many
                **_numbers(row),
            }
            for part in parts
            for metric, row in result["scores"].get(part, {}).items()
        ],
    }  # fmt: skip


def _mixing(folder: Path, name: str | None) -> dict[str, str] | None:
    return None if name is None else {"name": name, "uri": _picture(folder / "mixing" / f"{name}.png")}


def _numbers(row: Mapping[str, float]) -> dict[str, Any]:
    places = decimals(row["mean"], row["low"], row["high"])
    return {key: show(row[key], places) for key in ("mean", "low", "high")} | {"n": row["n"]}


def _film(path: Path) -> dict[str, Any]:
    """A moving picture, and whether it is a video."""
    video = path.with_name(f"{path.name}.mp4")
    if video.is_file():
        return {"uri": data_uri(video.read_bytes(), "video/mp4"), "video": True}
    return {"uri": data_uri(path.with_name(f"{path.name}.gif").read_bytes(), "image/gif"), "video": False}
