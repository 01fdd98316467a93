"""The page of a dissection: one self-contained HTML file with units, their pictures, and all else that was found."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl

from zstar.config.paths import read_text
from zstar.dissecting.bars import bars, colours
from zstar.dissecting.page_parts import atlas, effects, encode, sections, unit_rows
from zstar.dissection.base import Findings, Subject
from zstar.reports.pages import in_script, template
from zstar.runs.folder import write_text

FIRST = "agreement"  # the analysis whose findings are the table of units
SCRIPTS = ("units.js", "panel.js")
BUDGET = 9_000_000  # characters of all pictures of a page together


def write_dissection_report(
    folder: Path, result: Mapping[str, Any], found: Mapping[str, Findings], subject: Subject
) -> Path:
    """Write ``report.html``.

    Arguments:
        result: The content of ``result.json``.
        found: Findings by the name of their analysis. Those of ``agreement`` become the table of units, with all
            columns ``effect`` of any table beside; each of the others has a section with its pictures and tables.
    """
    source = files("zstar.dissecting") / "assets"
    script = "\n".join(read_text(source / name) for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}\n}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    first = found.get(FIRST)
    shades = colours(list(subject.segmenter.classes))
    pictures, sheet = encode(found, first, BUDGET)
    page = template("dissection.html.jinja", "zstar.dissecting", "assets").render(
        result={"version": None, "commit": None, "dirty": False} | dict(result),
        total=sum(shape[0] for shape in result["layers"].values()),
        layers=result["layers"],
        agreement=None if first is None else _agreement(first, result["classes"], shades),
        units=[] if first is None else unit_rows(first),
        shades=shades,
        sections=sections({name: one for name, one in found.items() if name != FIRST}, pictures),
        payload=in_script(None if first is None else _payload(first, found, shades, sheet)),
        config=read_text(folder / "config.yaml"),
        style=read_text(source / "dissection.css"),
        script=script,
        digest=digest,
    )
    return write_text(folder / "report.html", page)


def _agreement(first: Findings, classes: Mapping[str, str], shades: Mapping[str, str]) -> dict[str, Any]:
    """What the page says of agreement in numbers and in bars."""
    bound = first.summary["bound"]
    counts = first.tables["counts"]
    whole = counts.filter((pl.col("layer") == "all") & (pl.col("bound") == bound)).to_dicts()
    layers = first.tables["layers"]
    present = set(layers.filter((pl.col("units") > 0) | (pl.col("shuffled") > 0))["class"])
    return {
        "bound": bound,
        "rule": first.summary["rule"],
        "counts": whole,
        "others": counts.filter(pl.col("bound") != bound).filter(pl.col("layer") == "all").to_dicts(),
        "by_layer": counts.filter((pl.col("layer") != "all") & (pl.col("bound") == bound)).to_dicts(),
        "plots": [
            ("All of them", bars(layers, "units", shades, f"units with IoU above {bound:g}, by class and layer")),
            (
                "Beyond masks of other pictures",
                bars(layers, "beyond", shades, "units beyond chance, by class and layer"),
            ),
        ],
        "classes": [(name, kind, shades[name]) for name, kind in classes.items() if name in present],
    }


def _payload(
    first: Findings, found: Mapping[str, Findings], shades: Mapping[str, str], sheet: Mapping[str, Any]
) -> dict[str, Any]:
    """The data for the script."""
    return {**atlas(first, sheet), "shades": shades, "effects": effects(found)}
