"""Tables of a leaderboard as JSON, CSV, Markdown and LaTeX, with a description of their numbers."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zstar.benchmark.columns import KID, MARKS, VERDICTS, heading
from zstar.benchmark.notes import leaders
from zstar.reports.numbers import ARROWS, decimals, plain, show
from zstar.runs.folder import write_text

Board = Mapping[str, Any]
TEX_MARKS = {MARKS["better"]: r"$\blacktriangle$", MARKS["worse"]: r"$\blacktriangledown$", MARKS["same"]: "$=$"}
LONG = ("mean", "low", "high", "median", "n")
LONG += ("difference", "difference_low", "difference_high", "pairs", "p", "verdict")
TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
TEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


def write_tables(board: Board, folder: Path) -> list[Path]:
    """Write ``leaderboard.json``, ``.csv``, ``.md`` and ``.tex`` into a folder."""
    texts = {"json": as_json(board), "csv": as_csv(board), "md": as_markdown(board), "tex": as_latex(board)}
    return [write_text(folder / f"leaderboard.{kind}", text) for kind, text in texts.items()]


def as_json(board: Board) -> str:
    """The board itself, with null for infinite numbers, which JSON lacks."""
    return json.dumps(plain(board), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(board: Board) -> str:
    """One line per row and metric, each complete in itself."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    same = {
        "protocol": board["protocol"]["name"] or "",
        "track": board["protocol"]["track"] or "",
        "protocol_hash": board["protocol"]["hash"],
        "baseline": board["baseline"],
        "level": board["level"],
    }
    own = ("id", "method", "variant", "space", "seeds", "failures", "excluded")
    writer.writerow([*same, "row", *own[1:], "metric", "unit", "better", *LONG])
    for row in board["rows"]:
        for metric in board["metrics"]:
            about = [metric[key] for key in ("name", "unit", "better")]
            writer.writerow([*same.values(), *(row[key] for key in own), *about,
                             *(row["values"][metric["name"]].get(key) for key in LONG)])  # fmt: skip
    return out.getvalue()


def as_markdown(board: Board) -> str:
    """A table with intervals, its description, and the list of what is missing from it."""
    lines = [f"# {board['title']}", "", *(f"{line}  " for line in about(board)), ""]
    heads = ["row", "space", "N", "seeds", "failed", "excluded", *(heading(metric) for metric in board["metrics"])]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * 2 + "---:|" * (len(heads) - 2)]
    best = leaders(board)
    for row in board["rows"]:
        numbers = []
        for metric in board["metrics"]:
            mean, interval, mark = texts(row, metric)
            mean = f"**{mean}**" if row["id"] in best[metric["name"]] else mean
            numbers.append(" ".join(filter(None, [mean, interval, mark])))
        counts = [str(row[key]) for key in ("n", "seeds", "failures", "excluded")]
        words = [f"`{row['id']}`", row["space"], *counts, *numbers]
        lines.append("| " + " | ".join(map(_bars, words)) + " |")
    for title, entries in missing(board):
        lines += ["", f"## {title}", "", *(f"* `{_bars(name)}`: {_bars(reason)}" for name, reason in entries)]
    return "\n".join(lines) + "\n"


def as_latex(board: Board) -> str:
    """A table for ``booktabs`` (and ``amssymb``, for the triangles), with its caption."""
    heads = ["method", "space", "$N$", "seeds", "failed", *(_tex_heading(m) for m in board["metrics"])]
    best, body = leaders(board), []
    for row in board["rows"]:
        words = [tex(row["id"]), tex(row["space"]), *(str(row[key]) for key in ("n", "seeds", "failures"))]
        for metric in board["metrics"]:
            mean, interval, mark = texts(row, metric)
            mean = rf"\textbf{{{tex(mean)}}}" if row["id"] in best[metric["name"]] else tex(mean)
            interval = interval and rf"{{\scriptsize {tex(interval)}}}"
            words.append(" ".join(filter(None, [mean, interval, TEX_MARKS.get(mark, "")])))
        body.append(" & ".join(words) + r" \\")
    caption = tex(" ".join(about(board)))
    for verdict in ("better", "worse"):
        caption = caption.replace(MARKS[verdict], TEX_MARKS[MARKS[verdict]])
    lines = [
        "% needs \\usepackage{booktabs,amssymb,graphicx}",
        r"\begin{table}", r"\centering", r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{ll{'r' * (len(heads) - 2)}}}",
        r"\toprule", " & ".join(heads) + r" \\", r"\midrule", *body, r"\bottomrule", r"\end{tabular}}",
        rf"\caption{{{caption}}}", rf"\label{{tab:zstar-{board['protocol']['hash']}}}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def about(board: Board) -> list[str]:
    """Description of a table in sentences: protocol, numbers of images and seeds, intervals, tests, marks."""
    protocol, level = board["protocol"], f"{100 * board['level']:g} %"
    name = ", ".join(filter(None, [protocol["name"], protocol["track"] and f"track {protocol['track']}"]))
    networks = f", judged by {', '.join(protocol['networks'])}" if protocol["networks"] else ""
    kid = (
        " For KID, the jackknife's pseudo-values stand in for values of images."
        if any(m["name"] == KID for m in board["metrics"])
        else ""
    )
    directions = ", ".join(f"{arrow} {better} is better" for better, arrow in ARROWS.items())
    marks = ", ".join(f"{mark} {VERDICTS[verdict]}" for verdict, mark in MARKS.items())
    versions = f"Results of several versions of zstar: {', '.join(protocol.get('versions') or [])}."
    return [
        f"Protocol {name or 'without a name'}, hash {protocol['hash']}: {protocol['images']} images, up to "
        f"{protocol['seeds']} seed(s){networks}; data {protocol['data']}; generator {str(protocol['generator'])[:12]}.",
        f"Mean over N images (of the mean over their seeds) with its {level} bootstrap-t interval over images.{kid} "
        f"Failed and excluded count pairs of image and seed. {directions}; best mean in bold.",
        f"Compared with {board['baseline']} on the images that both have: {marks} "
        f"(two-sided sign-flip test, corrected by Holm over the rows of a metric, at "
        f"{100 * (1 - board['level']):g} %). What a run costs is not tested.",
        *([versions] if protocol.get("versions") else []),
        *board["notes"],
    ]


def texts(row: Mapping[str, Any], metric: Mapping[str, str]) -> tuple[str, str, str]:
    """Mean, interval in brackets (empty where there is none, or no spread), and mark of a row's metric."""
    entry = row["values"][metric["name"]]
    places = decimals(entry["mean"], entry["low"], entry["high"])
    low, high = (show(entry[name], places) for name in ("low", "high"))
    known = entry["low"] is not None and entry["high"] is not None and entry["low"] < entry["high"]
    return show(entry["mean"], places), f"[{low}, {high}]" if known else "", MARKS.get(entry["verdict"], "")


def missing(board: Board) -> list[tuple[str, list[tuple[str, str]]]]:
    """Methods, cells of the sweep and folders that are missing from the table, with the reasons."""
    lists = [
        ("Methods that do not fit", [(entry["method"], entry["reason"]) for entry in board["unfit"]]),
        ("Cells that failed", [(entry["cell"], entry["reason"]) for entry in board["failed"]]),
        ("Left out", [(entry["cell"], entry["reason"]) for entry in board["left_out"]]),
    ]
    return [(title, [(str(n), str(r)) for n, r in entries]) for title, entries in lists if entries]


def tex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    arrows = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "∞": r"$\infty$", "−": "$-$", "–": "--"}
    return "".join((TEX | arrows).get(letter, letter) for letter in text)


def _tex_heading(metric: Mapping[str, str]) -> str:
    unit = f" ({tex(metric['unit'])})" if metric["unit"] else ""
    return f"{tex(metric['title'])} {tex(ARROWS[metric['better']])}{unit}"


def _bars(text: str) -> str:
    """Text for an entry of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
