"""A leaderboard → one HTML page that needs nothing else: table, plots that answer, and every method's images."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zstar.leadertable import COSTS, budget, headings, quality_metrics, rows
from zstar.pages import template
from zstar.runs import write_atomic
from zstar.sprites import BUDGET, COLUMNS, Atlas, pack

WHOLE = 128  # up to so many images, a page shows all
FIRST, WORST = 64, 8
GAIN = 4
NUMBERS = re.compile(r"(\d+(?:\.\d+)?)|(\D+)")
SCRIPTS = ("leaderboard.js", "leaderboard_plots.js", "leaderboard_panels.js")


def write_page(
    board: dict[str, Any],
    path: Path,
    images: Mapping[str, Mapping[str, Path]],
    targets: Mapping[str, Path],
) -> Path:
    """Write the page of one protocol's leaderboard.

    Arguments:
        board: Title, protocol, metrics, rows, curves, gallery, and what is missing, from ``zstar.leaderboard``.
        path: The HTML file.
        images: Row → image → PNG file of the reconstruction; any size, and any of them may be missing.
        targets: Image → PNG file of the target.

    Returns:
        The path of the page. It has every image of up to 128; of more it has the first 64, those of the failure
        gallery and each row's 8 worst, and says so.
    """
    shown, rule = chosen(board)
    union = [name for name in board["images"] if name in set().union(*shown.values())]
    groups = [{name: targets[name] for name in union if name in targets}]
    for row in board["rows"]:
        own = images.get(row["id"], {})
        groups.append({name: own[name] for name in shown[row["id"]] if name in own})
    atlas = pack(groups, BUDGET)
    source = files("zstar")
    script = "\n".join((source / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}\n}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = template("leaderboard.html.jinja").render(
        title=board["title"],
        facts=facts(board),
        counts={"rows": len(board["rows"]), "images": len(board["images"]), "shown": len(union)},
        metrics=headings(board),
        rows=rows(board),
        baseline=board.get("baseline"),
        spaces=_distinct(row.get("space") for row in board["rows"]),
        budgets=_distinct(budget(row) for row in board["rows"]),
        gallery=_gallery(board, rule),
        pictured=[name for name in union if name in groups[0]],
        rule=rule,
        stored=_stored(atlas),
        unfit=[(entry["method"], entry["reason"]) for entry in board.get("unfit") or []],
        failed=[(entry["cell"], entry["reason"]) for entry in board.get("failed") or []],
        left_out=[_words(entry) for entry in board.get("left_out") or []],
        has=_has(board),
        gain=GAIN,
        style=(source / "leaderboard.css").read_text(encoding="utf-8"),
        payload=in_script(_payload(board, union, atlas)),
        script=script,
        digest=digest,
        link=lambda kind, name: f"#{kind}={quote(str(name), safe='')}",
    )
    return write_atomic(path, lambda file: file.write_text(page, encoding="utf-8", errors="replace"))


def chosen(board: Mapping[str, Any]) -> tuple[dict[str, list[str]], str]:
    """Which images a page shows of each row, in the order of the data set, and the rule in words (empty: all)."""
    order = list(board["images"])
    if len(order) <= WHOLE:
        return {row["id"]: order for row in board["rows"]}, ""
    shared = {*order[:FIRST], *(entry["image"] for entry in board.get("gallery") or [])}
    metric = next(iter(quality_metrics(board)), None)
    wanted = {}
    for row in board["rows"]:
        values = (row["per_image"].get(metric["name"]) or {}) if metric else {}
        known = [name for name, value in values.items() if value is not None and not math.isnan(value)]
        worst = sorted(known, key=lambda name: values[name], reverse=metric is not None and metric["better"] == "lower")
        keep = shared | set(worst[:WORST])
        wanted[row["id"]] = [name for name in order if name in keep]
    tail = f", and the {WORST} of each row with the worst {metric['title']}" if metric else ""
    rule = f"Of {len(order):,} images this page has the first {FIRST}, those of the failure gallery{tail}."
    return wanted, rule


def in_script(value: Any) -> str:
    """JSON that may stand in a script element, whatever its strings say; not-a-number becomes null."""
    text = json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return float(f"{value:.6g}") if math.isfinite(value) else str(value).replace("inf", "Infinity")
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _payload(board: Mapping[str, Any], union: Sequence[str], atlas: Atlas) -> dict[str, Any]:
    """What the script needs; values by image are lists in the order of the images shown."""
    place = {name: index for index, name in enumerate(union)}
    sheets = [{"at": [place[name] for name in sheet.names], "src": sheet.address} for sheet in atlas.sheets]
    known = []
    for row, sheet in zip(board["rows"], sheets[1:], strict=True):
        per = {name: [of.get(image) for image in union] for name, of in (row.get("per_image") or {}).items()}
        kept = {key: row.get(key) for key in ("id", "method", "space", "seeds", "n", "failures", "excluded", "values")}
        known.append({**kept, "budget": budget(row), "per": per, "sheet": sheet})
    keys = ("name", "title", "unit", "better", "network")
    return {
        "metrics": [{key: metric.get(key, "") for key in keys} for metric in board["metrics"]],
        "quality": [metric["name"] for metric in quality_metrics(board)],
        "costs": [metric["name"] for metric in board["metrics"] if metric["name"] in COSTS],
        "baseline": board.get("baseline"),
        "images": list(union),
        "rows": known,
        "targets": sheets[0],
        "curves": board.get("curves") or {},
        "pareto": board.get("pareto") or {},
        "tile": [atlas.width, atlas.height, COLUMNS],
        "gain": GAIN,
    }


def facts(board: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the protocol fixes, in words: the known entries first, then whatever else it names."""
    protocol = {"title": None, "budgets": None} | dict(board["protocol"])
    first = ("name", "track", "hash", "data", "generator", "networks", "images", "seeds", "budgets")
    protocol["budgets"] = protocol["budgets"] or _listed(_distinct(budget(row) for row in board["rows"]))
    order = [*first, *(key for key in protocol if key not in first)]
    told = [(key.replace("_", " "), _words(protocol.get(key))) for key in order]
    return [(key, text) for key, text in told if text]


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(entry)}" for key, entry in value.items() if entry not in (None, "", [], {}))
    if isinstance(value, list | tuple):
        return ", ".join(_words(entry) for entry in value)
    return (
        "" if value is None else f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    )


def _distinct(values: Iterable[str | None]) -> list[str]:
    """What occurs, with the numbers in it in the order of their size."""
    found = {value for value in values if value}
    return sorted(found, key=lambda text: [(float(part or "inf"), rest) for part, rest in NUMBERS.findall(text)])


def _listed(budgets: Sequence[str]) -> str:
    """``120, 500 evaluations`` for budgets of one kind."""
    kinds = {text.partition(" ")[2] for text in budgets}
    if len(kinds) != 1:
        return ", ".join(budgets)
    return f"{', '.join(text.partition(' ')[0] for text in budgets)} {kinds.pop()}".strip()


def _gallery(board: Mapping[str, Any], rule: str) -> list[tuple[str, list[dict[str, Any]]]]:
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


def _stored(atlas: Atlas) -> str:
    """How the pictures of the page were made smaller, in a sentence; empty where there are none."""
    if not any(sheet.names for sheet in atlas.sheets):
        return ""
    small = atlas.natural > atlas.width
    shrunk = f"are shrunk from {atlas.natural} to {atlas.width} pixels" if small else "have their own size"
    kept = "without loss" if atlas.quality is None else f"as WebP of quality {atlas.quality}"
    return f"The pictures {shrunk} and are stored {kept}; all numbers come from the originals."


def _has(board: Mapping[str, Any]) -> dict[str, bool]:
    """Which plots there is something to draw in."""

    def known(name: str) -> int:
        return sum((row["values"].get(name) or {}).get("mean") is not None for row in board["rows"])

    quality = max((known(metric["name"]) for metric in quality_metrics(board)), default=0) > 0
    return {
        "pareto": quality and any(known(name) for name in COSTS),
        "leakage": quality and known("leakage") > 0,
        "curves": bool(board.get("curves")),
    }
