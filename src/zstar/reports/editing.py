"""Report of an editing run: one HTML page with its strips, moving pictures and numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zstar.config.paths import read_text
from zstar.reports.numbers import decimals, show
from zstar.reports.pages import data_uri, template
from zstar.runs.folder import safe_name, write_text

STRIPS = 12  # strips shown of each direction; the folder has all


def write_edit_report(folder: str | Path, result: Mapping[str, Any]) -> Path:
    """Write ``report.html`` from the pictures in ``folder`` and the content of ``result.json``."""
    folder = Path(folder)
    page = template("editing.html.jinja").render(
        result={"version": None, "commit": None, "dirty": False, "left_out": []} | dict(result),
        sections=[_section(folder, sheet, result) for sheet in result["sheets"]],
        paths=[
            {"name": name, "strip": _uri(folder / "interpolations" / f"{name}.png"),
             "film": _uri(folder / "interpolations" / f"{name}.gif")}
            for name in result["interpolations"]
        ],
        mixing=_mixing(folder, result.get("mixing")),
        shown=STRIPS,
        config=read_text(folder / "config.yaml"),
        style="",
    )  # fmt: skip
    return write_text(folder / "report.html", page)


def _section(folder: Path, sheet: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Pictures and numbers of a sheet, for the template."""
    name = safe_name(sheet["name"])
    parts = [part for part, _ in sheet["combinations"][0]]
    strengths = ["  ".join(f"{alpha:+.3g}" for _, alpha in steps) for steps in sheet["combinations"]]
    return {
        "name": sheet["name"],
        "directions": {part: result["directions"][part] for part in parts},
        "strengths": strengths,
        "film": _uri(folder / "animations" / f"{name}.gif"),
        "strips": [
            {"id": image, "uri": _uri(folder / "strips" / name / f"{safe_name(image)}.png")}
            for image in result["images"][:STRIPS]
        ],
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
    return None if name is None else {"name": name, "uri": _uri(folder / "mixing" / f"{name}.png")}


def _numbers(row: Mapping[str, float]) -> dict[str, Any]:
    places = decimals(row["mean"], row["low"], row["high"])
    return {key: show(row[key], places) for key in ("mean", "low", "high")} | {"n": row["n"]}


def _uri(path: Path) -> str:
    return data_uri(path.read_bytes(), f"image/{path.suffix[1:]}")
