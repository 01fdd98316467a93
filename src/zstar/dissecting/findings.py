"""Findings of an analysis in files, so that a killed run goes on behind it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from zstar.config.paths import read_text
from zstar.directions.base import Label
from zstar.directions.library import load_directions, save_directions
from zstar.directions.units import Units
from zstar.dissection.base import Findings
from zstar.dissection.units import UnitSet
from zstar.generators.base import AbstractGenerator
from zstar.images import to_float, write_png
from zstar.reports.numbers import plain
from zstar.runs.folder import command, safe_name, write_json
from zstar.runs.results import scan_rows, write_rows

DONE, UNITS = "findings.json", "units.safetensors"


def write_findings(folder: Path, name: str, found: Findings, generator: AbstractGenerator) -> None:
    """Write ``<name>.parquet`` of each table, ``<name>.png`` of each picture, the units, and what all of it is."""
    for title, table in found.tables.items():
        write_rows(folder / f"{safe_name(title)}.parquet", table)
    for title, picture in found.pictures.items():
        write_png(folder / f"{safe_name(title)}.png", picture)
    units = {title: one for title, one in found.units.items() if len(one.units)}
    if units:
        save_directions(
            folder / UNITS, as_directions({name: replace(found, units=units)}), generator, command=command()
        )
    content = {"tables": list(found.tables), "pictures": list(found.pictures), "units": list(units)}
    write_json(folder / DONE, {**content, "summary": plain(found.summary)})


def read_findings(folder: Path, generator: AbstractGenerator) -> Findings | None:
    """The findings in a folder; ``None`` where the analysis is not done, or something of it is gone."""
    if not (folder / DONE).is_file():
        return None
    content = json.loads(read_text(folder / DONE))
    tables = {title: folder / f"{safe_name(title)}.parquet" for title in content["tables"]}
    pictures = {title: folder / f"{safe_name(title)}.png" for title in content["pictures"]}
    if not all(path.is_file() for path in [*tables.values(), *pictures.values()]):
        return None
    units: dict[str, UnitSet] = {}
    if content["units"]:
        found = load_directions(folder / UNITS, generator)
        units = {title: one.units for title, one in found.items() if isinstance(one, Units)}
    return Findings(
        {title: read_rows(path) for title, path in tables.items()},
        {title: to_float(_pixels(path)) for title, path in pictures.items()},
        units,
        content["summary"],
    )


def read_rows(path: Path) -> pl.DataFrame:
    """A table, whole."""
    return scan_rows(path).collect()


def _pixels(path: Path) -> np.ndarray:
    pixels = np.array(Image.open(path))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def as_directions(found: Mapping[str, Findings]) -> dict[str, Units]:
    """Analysis → its findings, as directions by the names of their classes: a class is that of the last analysis that
    has it, and those before are ``door_agreement``. What an analysis has measured of a class under ``scores`` in its
    summary goes along."""
    made: dict[str, Units] = {}
    for analysis, one in found.items():
        scores = one.summary.get("scores", {})
        for name, units in one.units.items():
            if name in made:
                before = made.pop(name)
                made[f"{name}_{before.label.found['method']}"] = before
            facts = {"class": name, "method": analysis}
            known = {key: value for key, value in scores.get(name, {}).items() if value is not None}
            made[name] = Units(units, label=Label(f"{name} everywhere in the mask", "", -1.0, 1.0, facts, known))
    return made


def all_files(folder: Path, names: Iterable[str]) -> list[str]:
    """The files of the analyses, by their paths below ``folder``."""
    return [path.relative_to(folder).as_posix() for name in names for path in sorted((folder / name).glob("*"))]
