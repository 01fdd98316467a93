"""Table of a leaderboard in the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zstar.benchmark.columns import KID
from zstar.benchmark.notes import leaders
from zstar.benchmark.tables import about, missing, texts
from zstar.reports.numbers import ARROWS

Board = Mapping[str, Any]
# The columns to keep where space is short, after the one that the rows are sorted by.
FIRST = ("psnr", "lpips", "perceptual", "seconds", KID, "leakage", "ssim", "evaluations", "reached")


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
            mean, interval, mark = texts(row, metric)
            mean = f"[bold]{mean}[/bold]" if row["id"] in best[metric["name"]] else mean
            words.append(f"{mean} {mark or ' '}" + (f"\n[dim]{escape(interval)}[/dim]" if interval else ""))
        table.add_row(escape(row["id"]), escape(row["space"]), *words, *(str(row[name]) for name in counts))
    console.print(f"[bold]{escape(board['title'])}[/bold]")
    console.print(table)
    for line in about(board):
        console.print(escape(line), highlight=False)
    if hidden := [metric["title"] for metric in board["metrics"] if metric["name"] not in shown]:
        console.print(escape(f"Not shown for want of space: {', '.join(hidden)}; see leaderboard.md."), highlight=False)
    for title, entries in missing(board):
        console.print(escape(f"{title}:"), highlight=False)
        for name, reason in entries:
            console.print(escape(f"  {name}: {reason}"), highlight=False)


def _heads(metric: Mapping[str, str]) -> tuple[str, str]:
    unit = f"{metric['unit']} " if metric["unit"] else ""
    return metric["title"], f"{unit}{ARROWS[metric['better']]}"


def _width(board: Board, metric: Mapping[str, str]) -> int:
    entries = [texts(row, metric) for row in board["rows"]]
    return max([len(part) for part in _heads(metric)] + [max(len(m) + 2, len(i)) for m, i, _ in entries])
