"""Self-contained HTML pages: their templates, and how pictures are written there."""

import json
import math
from base64 import b64encode
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

from zstar.reports.numbers import duration, plain


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


def data_uri(content: bytes, media_type: str) -> str:
    """The content of a file (``image/png``, ``image/gif``, ``image/webp``) as an address that such a page can show."""
    return f"data:{media_type};base64,{b64encode(content).decode()}"


def in_script(value: Any) -> str:
    """JSON that may stand in a script element, whatever its strings say; not-a-number becomes null."""
    text = json.dumps(plain(value, _number), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _number(value: float) -> float | str | None:
    """Six digits; JavaScript reads infinity from text."""
    if math.isnan(value):
        return None
    return float(f"{value:.6g}") if math.isfinite(value) else str(value).replace("inf", "Infinity")
