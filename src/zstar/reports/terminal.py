"""Tables of results for the terminal."""

from collections.abc import Mapping, Sequence

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zstar.reports.numbers import decimals, show
from zstar.runs.results import CELL, summarize
from zstar.stats.comparison import FEWEST

HEADERS = {"n": "N", "failures": "failed"}
WORDS = {"method": "{}", "space": "in {}", "seeds": "{} seed(s)", "protocol_hash": "protocol {}"}
DISPENSABLE = ("5–95 %", "median", "start")  # in this order, where a terminal is too narrow; the report has them


def print_table(results: pl.DataFrame, failed: Mapping[str, str] | None = None, console: Console | None = None) -> None:
    """Print results in long format, or the table that :func:`summarize` made of them, in the terminal.

    What is the same in all rows (method, space, seeds) stands in the title. The start of a chain, where there is
    one, takes the place of the median. In a narrow terminal the spread, the median and the start are left out.
    """
    table = results if "mean" in results.columns else summarize(results, failed)
    console = console or Console()
    shared = [name for name in WORDS if table[name].n_unique() == 1]
    left = [name for name in CELL if name not in shared] + ["metric"]
    right = ["n", *(["seeds"] if "seeds" not in shared else [])]
    right += [name for name in ("failures", "excluded") if (table[name].max() or 0) > 0]
    started = table["start"].is_not_null().any()
    between = ["start", "mean", "95 % interval", "5–95 %"] if started else ["mean", "95 % interval", "median", "5–95 %"]
    rows = [texts(row) for row in table.to_dicts()]
    columns = [*left, *between, *right]
    title = escape(", ".join(WORDS[name].format(table[name][0]) for name in shared))
    for name in ("", *DISPENSABLE):
        columns = [one for one in columns if one != name]
        if width(rows, columns) <= console.width:
            break
    console.print(draw(rows, columns, left, title))
    if 0 < (table["n"].max() or 0) < FEWEST:
        console.print(f"{FEWEST} images or more are needed for an interval that holds what it says")


def texts(row: Mapping[str, object]) -> dict[str, str]:
    """A row of a summary, by the names of the columns that are printed."""
    places = decimals(row["mean"], row["low"], row["high"])
    text = {name: show(row[name], places) for name in ("start", "mean", "low", "high", "median", "p5", "p95")}
    text |= {"95 % interval": "{low} – {high}".format(**text), "5–95 %": "{p5} – {p95}".format(**text)}
    return {name: escape(str(value)) for name, value in row.items()} | text


def draw(rows: Sequence[Mapping[str, str]], columns: Sequence[str], left: Sequence[str], title: str) -> Table:
    """The table of some columns; in the narrowest of terminals they are folded, and none is cut."""
    printed = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in columns:
        printed.add_column(HEADERS.get(name, name), justify="left" if name in left else "right", overflow="fold")
    for row in rows:
        printed.add_row(*(row[name] for name in columns))
    return printed


def width(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> int:
    """Letters of the widest row in which nothing is folded."""
    return sum(max(len(row[name]) for row in [*rows, {name: HEADERS.get(name, name)}]) + 2 for name in columns)
