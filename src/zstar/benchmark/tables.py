"""A leaderboard as text: Markdown, LaTeX, CSV, and in the terminal. Each says what its numbers are."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zstar.benchmark.columns import KID
from zstar.reports.numbers import decimals, show
from zstar.runs.folder import write_atomic

Board = Mapping[str, Any]
MARKS = {"better": "▲", "worse": "▼", "same": "="}
TEX_MARKS = {"better": r"$\blacktriangle$", "worse": r"$\blacktriangledown$", "same": "$=$"}
ARROWS = {"higher": "↑", "lower": "↓"}
# What is kept if space is short, after what the rows are sorted by.
FIRST = ("psnr", "lpips", "perceptual", "seconds", KID, "leakage", "ssim", "evaluations", "reached")
LONG = ("mean", "low", "high", "median", "n")
LONG += ("difference", "difference_low", "difference_high", "pairs", "p", "verdict")
TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
TEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


def write_tables(board: Board, folder: Path) -> list[Path]:
    """Write ``leaderboard.json``, ``.csv``, ``.md`` and ``.tex`` into a folder."""
    texts = {"json": as_json(board), "csv": as_csv(board), "md": as_markdown(board), "tex": as_latex(board)}
    return [
        write_atomic(folder / f"leaderboard.{kind}", lambda path, text=text: path.write_text(text, encoding="utf-8"))
        for kind, text in texts.items()
    ]


def as_json(board: Board) -> str:
    """The board itself; JSON has no infinity, so an infinite number is null in it as well."""
    return json.dumps(_finite(board), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(board: Board) -> str:
    """One line per row and metric, with everything that is needed to read it alone."""
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
    """A table with intervals, what it is of, and what is missing from it."""
    lines = [f"# {board['title']}", "", *(f"{line}  " for line in about(board)), ""]
    heads = ["row", "space", "N", "seeds", "failed", "excluded", *(heading(metric) for metric in board["metrics"])]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * 2 + "---:|" * (len(heads) - 2)]
    best = leaders(board)
    for row in board["rows"]:
        numbers = []
        for metric in board["metrics"]:
            mean, interval, mark = cell(row, metric)
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
    heads = ["method", "space", "$N$", "seeds", "failed", *(tex(_title(m)) + _tex_arrow(m) for m in board["metrics"])]
    best, body = leaders(board), []
    for row in board["rows"]:
        words = [tex(row["id"]), tex(row["space"]), *(str(row[key]) for key in ("n", "seeds", "failures"))]
        for metric in board["metrics"]:
            mean, interval, _ = cell(row, metric)
            mean = rf"\textbf{{{tex(mean)}}}" if row["id"] in best[metric["name"]] else tex(mean)
            mark = TEX_MARKS.get(row["values"][metric["name"]]["verdict"], "")
            words.append(" ".join(filter(None, [mean, interval and rf"{{\scriptsize {tex(interval)}}}", mark])))
        body.append(" & ".join(words) + r" \\")
    caption = tex(" ".join(about(board))).replace("▲", TEX_MARKS["better"]).replace("▼", TEX_MARKS["worse"])
    lines = [
        "% needs \\usepackage{booktabs,amssymb,graphicx}",
        r"\begin{table}", r"\centering", r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{ll{'r' * (len(heads) - 2)}}}",
        r"\toprule", " & ".join(heads) + r" \\", r"\midrule", *body, r"\bottomrule", r"\end{tabular}}",
        rf"\caption{{{caption}}}", rf"\label{{tab:zstar-{board['protocol']['hash']}}}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def print_board(board: Board, console: Console | None = None) -> None:
    """Print the board, with as many columns as there is space for; the rest is named."""
    console = console or Console()
    names = [metric["name"] for metric in board["metrics"]]
    order = sorted(names, key=lambda name: (name != board["sort"], FIRST.index(name) if name in FIRST else len(FIRST)))
    counts = ["n", "seeds", *(key for key in ("failures", "excluded") if any(row[key] for row in board["rows"]))]
    widths = {metric["name"]: _width(board, metric) + 2 for metric in board["metrics"]}
    names_wide, spaces_wide = (max(len(row[key]) for row in board["rows"]) for key in ("id", "space"))
    names_wide = min(names_wide, max(24, console.width // 4))  # longer ones are folded
    room = console.width - names_wide - max(spaces_wide, 5) - 4 - sum(max(len(name), 4) + 2 for name in counts)
    shown: list[str] = []
    for name in order:
        if sum(widths[kept] for kept in [*shown, name]) <= room or not shown:
            shown.append(name)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("row", overflow="fold")
    table.add_column("space", overflow="fold")
    kept = [metric for metric in board["metrics"] if metric["name"] in shown]
    for metric in kept:
        table.add_column(escape("\n".join(_heads(metric))), justify="right", no_wrap=True)
    for name in counts:
        table.add_column({"n": "N", "failures": "failed"}.get(name, name), justify="right", no_wrap=True)
    best = leaders(board)
    for row in board["rows"]:
        words = []
        for metric in kept:
            mean, interval, mark = cell(row, metric)
            mean = f"[bold]{mean}[/bold]" if row["id"] in best[metric["name"]] else mean
            words.append(f"{mean} {mark or ' '}" + (f"\n[dim]{escape(interval)}[/dim]" if interval else ""))
        table.add_row(escape(row["id"]), escape(row["space"]), *words, *(str(row[name]) for name in counts))
    console.print(f"[bold]{escape(board['title'])}[/bold]")
    console.print(table)
    for line in about(board):
        console.print(escape(line), highlight=False)
    if hidden := [_title(metric) for metric in board["metrics"] if metric["name"] not in shown]:
        console.print(escape(f"Not shown for want of space: {', '.join(hidden)}; see leaderboard.md."), highlight=False)
    for title, entries in missing(board):
        console.print(escape(f"{title}:"), highlight=False)
        for name, reason in entries:
            console.print(escape(f"  {name}: {reason}"), highlight=False)


def about(board: Board) -> list[str]:
    """What a table is of, in sentences: protocol and its hash, numbers of images and seeds, intervals, tests, marks."""
    protocol, level = board["protocol"], f"{100 * board['level']:g} %"
    name = ", ".join(filter(None, [protocol["name"], protocol["track"] and f"track {protocol['track']}"]))
    networks = f", judged by {', '.join(protocol['networks'])}" if protocol["networks"] else ""
    kid = (
        " For KID, the jackknife's pseudo-values stand in for values of images."
        if any(m["name"] == KID for m in board["metrics"])
        else ""
    )
    return [
        f"Protocol {name or 'without a name'}, hash {protocol['hash']}: {protocol['images']} images, up to "
        f"{protocol['seeds']} seed(s){networks}; data {protocol['data']}; generator {str(protocol['generator'])[:12]}.",
        f"Mean over N images (of the mean over their seeds) with its {level} bootstrap-t interval over images.{kid} "
        "Failed and excluded count pairs of image and seed. ↑ higher is better, ↓ lower is better; best mean in bold.",
        f"Compared with {board['baseline']} on the images that both have: ▲ better, ▼ worse, = no difference shown "
        f"(two-sided sign-flip test, corrected by Holm over the rows of a metric, at "
        f"{100 * (1 - board['level']):g} %). What a run costs is not tested.",
    ]


def heading(metric: Mapping[str, str]) -> str:
    """``PSNR ↑ (dB)``."""
    return " ".join(filter(None, [_title(metric), ARROWS[metric["better"]], metric["unit"] and f"({metric['unit']})"]))


def cell(row: Mapping[str, Any], metric: Mapping[str, str]) -> tuple[str, str, str]:
    """Mean, interval in brackets (empty where there is none, or no spread), and mark of a row's metric."""
    entry = row["values"][metric["name"]]
    places = decimals(entry["mean"], entry["low"], entry["high"])
    low, high = (show(entry[name], places) for name in ("low", "high"))
    known = entry["low"] is not None and entry["high"] is not None and entry["low"] < entry["high"]
    return show(entry["mean"], places), f"[{low}, {high}]" if known else "", MARKS.get(entry["verdict"], "")


def leaders(board: Board) -> dict[str, set[str]]:
    """Metric → rows with the best mean."""
    found = {}
    for metric in board["metrics"]:
        means = {row["id"]: row["values"][metric["name"]]["mean"] for row in board["rows"]}
        known = {name: mean for name, mean in means.items() if mean is not None}
        best = (max if metric["better"] == "higher" else min)(known.values(), default=math.nan)
        found[metric["name"]] = {name for name, mean in known.items() if mean == best}
    return found


def missing(board: Board) -> list[tuple[str, list[tuple[str, str]]]]:
    """What is not in the table, with the reasons."""
    lists = [
        ("Methods that do not fit", [(entry["method"], entry["reason"]) for entry in board["unfit"]]),
        ("Cells that failed", [(entry["cell"], entry["reason"]) for entry in board["failed"]]),
        ("Left out", [(entry["cell"], entry["reason"]) for entry in board["left_out"]]),
    ]
    return [(title, [(str(n), str(r)) for n, r in entries]) for title, entries in lists if entries]


def tex(text: str) -> str:
    """Text with what LaTeX reads as commands escaped."""
    arrows = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "∞": r"$\infty$", "−": "$-$", "–": "--"}
    return "".join((TEX | arrows).get(letter, letter) for letter in text)


def _title(metric: Mapping[str, str]) -> str:
    return metric["title"]


def _heads(metric: Mapping[str, str]) -> Sequence[str]:
    unit = f"{metric['unit']} " if metric["unit"] else ""
    return _title(metric), f"{unit}{ARROWS[metric['better']]}"


def _tex_arrow(metric: Mapping[str, str]) -> str:
    unit = f" ({tex(metric['unit'])})" if metric["unit"] else ""
    return r" $\uparrow$" * (metric["better"] == "higher") + r" $\downarrow$" * (metric["better"] == "lower") + unit


def _width(board: Board, metric: Mapping[str, str]) -> int:
    cells = [cell(row, metric) for row in board["rows"]]
    return max([len(part) for part in _heads(metric)] + [max(len(m) + 2, len(i)) for m, i, _ in cells])


def _bars(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
