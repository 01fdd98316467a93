"""The page of a dissection."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zstar.dissection.base import Findings, Subject
from zstar.runs.folder import write_text


def write_dissection_report(
    folder: Path, result: Mapping[str, Any], found: Mapping[str, Findings], subject: Subject
) -> Path:
    """Write ``report.html``."""
    return write_text(folder / "report.html", "<!doctype html>\n")
