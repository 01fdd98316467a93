"""Text of the page beside its table: protocol, filters, failures, omissions, storage of the pictures."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from zstar.benchmark.sprites import Atlas

HASH = re.compile(r"[0-9a-f]{32,}")  # of a file; twelve digits of it are shown
NUMBERS = re.compile(r"(\d+(?:\.\d+)?)|(\D+)")


def facts(board: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The protocol as pairs of name and text: the known keys first, then all others."""
    protocol = board["protocol"]
    first = ("name", "track", "hash", "data", "generator", "networks", "images", "seeds", "budgets")
    order = [*first, *(key for key in protocol if key not in first)]
    pairs = [(key.replace("_", " "), _words(protocol.get(key))) for key in order]
    return [(key, text) for key, text in pairs if text]


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(entry)}" for key, entry in value.items() if entry not in (None, "", [], {}))
    if isinstance(value, list | tuple):
        return ", ".join(_words(entry) for entry in value)
    if isinstance(value, str) and HASH.fullmatch(value):
        return value[:12]
    return (
        "" if value is None else f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    )


def omission(entry: Any) -> str:
    """What was left out, and the reason."""
    known = isinstance(entry, Mapping) and {"cell", "reason"} <= entry.keys()
    return f"{entry['cell']}: {entry['reason']}" if known else _words(entry)


def distinct(values: Iterable[str | None]) -> list[str]:
    """The different values, sorted with the numbers in them by size."""
    return sorted(
        {value for value in values if value},
        key=lambda text: [(float(part or "inf"), rest) for part, rest in NUMBERS.findall(text)],
    )


def failures(board: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The entries of the failure gallery by the rule that chose them."""
    titles = {metric["name"]: metric["title"] for metric in board["metrics"]}
    units = {metric["name"]: metric.get("unit") or "" for metric in board["metrics"]}
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in board.get("gallery") or []:
        rule = entry.get("rule") or board.get("gallery_rule") or f"The worst {titles.get(entry['metric'])}."
        value = entry.get("value")
        known = value is not None and not math.isnan(value)
        text = f"{titles.get(entry['metric'], entry['metric'])} {f'{value:.4g}' if known else '–'}"
        groups.setdefault(rule, []).append({**entry, "text": f"{text} {units.get(entry['metric'], '')}".strip()})
    return list(groups.items())


def storage(atlas: Atlas) -> str:
    """Size and compression of the pictures of the page, in a sentence; empty where there are none."""
    if not any(sheet.names for sheet in atlas.sheets):
        return ""
    small = atlas.natural > atlas.width
    shrunk = f"are shrunk from {atlas.natural} to {atlas.width} pixels" if small else "have their own size"
    own = "" if atlas.quality is None and not small else ", the drawn differences from what is stored"
    kept = "without loss" if atlas.quality is None else f"as WebP of quality {atlas.quality}"
    return f"The pictures {shrunk} and are stored {kept}; all numbers come from the originals{own}."
