"""What a leaderboard's page says beside its table: facts of the protocol, failures, and how pictures are stored."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from zstar.benchmark.sprites import Atlas

HASH = re.compile(r"[0-9a-f]{32,}")  # of a file; twelve digits of it are told
NUMBERS = re.compile(r"(\d+(?:\.\d+)?)|(\D+)")


def facts(board: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the protocol fixes, in words: the known entries first, then whatever else it names."""
    protocol = board["protocol"]
    first = ("name", "track", "hash", "data", "generator", "networks", "images", "seeds", "budgets")
    order = [*first, *(key for key in protocol if key not in first)]
    told = [(key.replace("_", " "), _words(protocol.get(key))) for key in order]
    return [(key, text) for key, text in told if text]


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


def reason(entry: Any) -> str:
    """What was left out, and why."""
    known = isinstance(entry, Mapping) and {"cell", "reason"} <= entry.keys()
    return f"{entry['cell']}: {entry['reason']}" if known else _words(entry)


def distinct(values: Iterable[str | None]) -> list[str]:
    """What occurs, with the numbers in it in the order of their size."""
    found = {value for value in values if value}
    return sorted(found, key=lambda text: [(float(part or "inf"), rest) for part, rest in NUMBERS.findall(text)])


def gallery(board: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The entries of the failure gallery by the rule that chose them."""
    titles = {metric["name"]: metric["title"] for metric in board["metrics"]}
    units = {metric["name"]: metric.get("unit") or "" for metric in board["metrics"]}
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in board.get("gallery") or []:
        stated = entry.get("rule") or board.get("gallery_rule") or f"The worst {titles.get(entry['metric'])}."
        value = entry.get("value")
        known = value is not None and not math.isnan(value)
        text = f"{titles.get(entry['metric'], entry['metric'])} {f'{value:.4g}' if known else '–'}"
        groups.setdefault(stated, []).append({**entry, "text": f"{text} {units.get(entry['metric'], '')}".strip()})
    return list(groups.items())


def stored(atlas: Atlas) -> str:
    """How the pictures of the page were made smaller, in a sentence; empty where there are none."""
    if not any(sheet.names for sheet in atlas.sheets):
        return ""
    small = atlas.natural > atlas.width
    shrunk = f"are shrunk from {atlas.natural} to {atlas.width} pixels" if small else "have their own size"
    own = "" if atlas.quality is None and not small else ", the drawn differences from what is stored"
    kept = "without loss" if atlas.quality is None else f"as WebP of quality {atlas.quality}"
    return f"The pictures {shrunk} and are stored {kept}; all numbers come from the originals{own}."
