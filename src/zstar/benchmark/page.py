"""A leaderboard → one HTML page that needs nothing else: table, plots that answer, and every method's images."""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zstar.benchmark.page_table import COSTS, budget, headings, level, quality_metrics, rows
from zstar.benchmark.page_words import distinct, facts, gallery, reason, stored
from zstar.benchmark.sprites import BUDGET, COLUMNS, Atlas, pack
from zstar.reports.pages import template
from zstar.runs.folder import write_atomic

WHOLE = 128  # up to so many images, a page shows all
FIRST, WORST = 64, 8
GAIN = 4
SENT = ("id", "method", "space", "seeds", "n", "failures", "excluded", "values", "budgets")  # of a row, to the script
SCRIPTS = ("leaderboard.js", "axes.js", "plots.js", "panels.js")


def write_page(
    board: dict[str, Any],
    path: Path,
    images: Mapping[str, Mapping[str, Path]],
    targets: Mapping[str, Path],
) -> Path:
    """Write the page of one protocol's leaderboard.

    Arguments:
        board: Title, protocol, metrics, rows, curves, gallery, and what is missing, from
            ``zstar.benchmark.leaderboard``.
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
    source = files("zstar.benchmark") / "assets"
    script = "\n".join((source / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}\n}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = template("leaderboard.html.jinja", "zstar.benchmark", "assets").render(
        title=board["title"],
        facts=facts(board),
        counts={"rows": len(board["rows"]), "images": len(board["images"]), "shown": len(union)},
        metrics=headings(board),
        rows=rows(board),
        baseline=board.get("baseline"),
        spaces=distinct(row.get("space") for row in board["rows"]),
        budgets=distinct(name for row in board["rows"] for name in row["budgets"]),
        gallery=gallery(board),
        pictured=[name for name in union if name in groups[0]],
        rule=rule,
        stored=stored(atlas),
        unfit=[(entry["method"], entry["reason"]) for entry in board.get("unfit") or []],
        failed=[(entry["cell"], entry["reason"]) for entry in board.get("failed") or []],
        left_out=[reason(entry) for entry in board.get("left_out") or []],
        level=level(board),
        curves_note=board.get("curves_note") or "Losses of methods with different objectives have different units.",
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
    measured = {name for row in board["rows"] for name in row["per_image"]}
    metric = next((metric for metric in quality_metrics(board) if metric["name"] in measured), None)
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
        kept = {key: row.get(key) for key in SENT}
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
