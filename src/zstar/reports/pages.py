"""HTML pages that need nothing else: the templates, and how numbers are put into words there."""

import math
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template


@cache  # the files of a package don't change while it runs, and reading one takes longer than filling it in
def template(name: str, package: str = "zstar.reports", folder: str = "templates") -> Template:
    """A template in ``folder`` of ``package``, which may extend those of this one.

    Names come from files and are escaped; drawings are made here and marked as safe.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, folder), PackageLoader("zstar.reports", "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    return environment.get_template(name)


def duration(seconds: float | None) -> str:
    """Seconds in words: ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
