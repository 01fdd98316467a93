"""Page of a leaderboard: one self-contained HTML file with table, figures, and the images of every method."""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zstar.benchmark.columns import MARKS, VERDICTS
from zstar.benchmark.page_table import budget, headings, level, quality_metrics, rows
from zstar.benchmark.page_text import distinct, facts, failures, omission, storage
from zstar.benchmark.sprites import BUDGET, COLUMNS, Atlas, pack
from zstar.config.paths import read_text
from zstar.reports.gallery import GAIN
from zstar.reports.pages import in_script, template
from zstar.runs.folder import write_text

WHOLE = 128  # the page shows all images of a set of at most this size
FIRST, WORST = 64, 8
SENT = ("id", "method", "space", "seeds", "n", "failures", "excluded", "values", "budgets")  # of a row, to the script
SCRIPTS = ("leaderboard.js", "plots.js", "panels.js")
PLOTS = {
    "pareto_seconds": "Quality and seconds",
    "pareto_evaluations": "Quality and evaluations",
    "editability": "Quality and editability",
    "trajectories_evaluations": "Losses over evaluations",
    "trajectories_seconds": "Losses over seconds",
}


def write_page(
    board: Mapping[str, Any],
    path: Path,
    images: Mapping[str, Mapping[str, Path]],
    targets: Mapping[str, Path],
    figures: Sequence[Path] = (),
) -> Path:
    """Write the page of one protocol's leaderboard.

    Arguments:
        board: Title, protocol, metrics, rows, curves, gallery, and what is missing, from
            :func:`zstar.benchmark.leaderboard.make_boards`.
        path: The HTML file.
        images: Row → image → PNG file of the reconstruction; any size, and any of them may be missing.
        targets: Image → PNG file of the target.
        figures: SVG files of :func:`~zstar.benchmark.figures.write.write_figures`.

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
    page = render(board, union, rule, atlas, {file.stem: read_text(file) for file in figures})
    return write_text(path, page)


def render(board: Mapping[str, Any], union: Sequence[str], rule: str, atlas: Atlas, drawings: Mapping[str, str]) -> str:
    """The HTML of a page.

    Arguments:
        union: The images that the page shows.
        rule: The rule that chose them, in words; empty where these are all.
        atlas: Their pictures: a sheet of targets, then a sheet for each row.
        drawings: Name → SVG of the figures.
    """
    source = files("zstar.benchmark") / "assets"
    script = "\n".join(read_text(source / name) for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}\n}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return template("leaderboard.html.jinja", "zstar.benchmark", "assets").render(
        title=board["title"],
        facts=facts(board),
        counts={"rows": len(board["rows"]), "images": len(board["images"]), "shown": len(union)},
        metrics=headings(board),
        rows=rows(board),
        baseline=board.get("baseline"),
        spaces=distinct(row.get("space") for row in board["rows"]),
        budgets=distinct(name for row in board["rows"] for name in row["budgets"]),
        gallery=failures(board),
        pictured=atlas.sheets[0].names,
        rule=rule,
        storage=storage(atlas),
        unfit=[(entry["method"], entry["reason"]) for entry in board.get("unfit") or []],
        failed=[(entry["cell"], entry["reason"]) for entry in board.get("failed") or []],
        left_out=[omission(entry) for entry in board.get("left_out") or []],
        level=level(board),
        marks=[(verdict, mark, VERDICTS[verdict]) for verdict, mark in MARKS.items()],
        notes=board["notes"],
        plots=[(name, title, drawings[name]) for name, title in PLOTS.items() if name in drawings],
        style=read_text(source / "leaderboard.css"),
        payload=in_script(_payload(board, union, atlas)),
        script=script,
        digest=digest,
        link=lambda kind, name: f"#{kind}={quote(str(name), safe='')}",
    )


def chosen(board: Mapping[str, Any]) -> tuple[dict[str, list[str]], str]:
    """The images that a page shows of each row, in the order of the data set, and the rule in words (empty: all)."""
    order = list(board["images"])
    if len(order) <= WHOLE:
        return {row["id"]: order for row in board["rows"]}, ""
    shared = {*order[:FIRST], *(entry["image"] for entry in board.get("gallery") or [])}
    measured = {name for row in board["rows"] for name in row["per_image"]}
    metric = next((metric for metric in quality_metrics(board) if metric["name"] in measured), None)
    selection = {}
    for row in board["rows"]:
        values = (row["per_image"].get(metric["name"]) or {}) if metric else {}
        known = [name for name, value in values.items() if value is not None and not math.isnan(value)]
        worst = sorted(known, key=lambda name: values[name], reverse=metric is not None and metric["better"] == "lower")
        keep = shared | set(worst[:WORST])
        selection[row["id"]] = [name for name in order if name in keep]
    tail = f", and the {WORST} of each row with the worst {metric['title']}" if metric else ""
    rule = f"Of {len(order):,} images this page has the first {FIRST}, those of the failure gallery{tail}."
    return selection, rule


def _payload(board: Mapping[str, Any], union: Sequence[str], atlas: Atlas) -> dict[str, Any]:
    """The data for the script; values by image are lists in the order of the images shown."""
    place = {name: index for index, name in enumerate(union)}
    sheets = [{"at": [place[name] for name in sheet.names], "src": sheet.address} for sheet in atlas.sheets]
    sent = []
    for row, sheet in zip(board["rows"], sheets[1:], strict=True):
        per = {name: [of.get(image) for image in union] for name, of in (row.get("per_image") or {}).items()}
        kept = {key: row.get(key) for key in SENT}
        sent.append({**kept, "budget": budget(row), "per": per, "sheet": sheet})
    keys = ("name", "title", "unit", "better", "network")
    return {
        "metrics": [{key: metric.get(key, "") for key in keys} for metric in board["metrics"]],
        "quality": [metric["name"] for metric in quality_metrics(board)],
        "baseline": board.get("baseline"),
        "images": list(union),
        "rows": sent,
        "targets": sheets[0],
        "losses": {row: [curve["metric"], curve["median"][-1]] for row, curve in board["curves"].items()},
        "tile": [atlas.width, atlas.height, COLUMNS],
        "gain": GAIN,
    }
