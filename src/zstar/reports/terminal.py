"""Tables of results for the terminal."""

from collections.abc import Mapping

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zstar.reports.numbers import decimals, show
from zstar.runs.results import CELL, summarize
from zstar.stats.comparison import FEWEST


def print_table(results: pl.DataFrame, failed: Mapping[str, str] | None = None, console: Console | None = None) -> None:
    """Print results in long format, or the table that :func:`summarize` made of them, in the terminal.

    What is the same in all rows (method, space, seeds) stands in the title. The start of a chain, where there is
    one, takes the place of the median.
    """
    table = results if "mean" in results.columns else summarize(results, failed)
    shared = [name for name in ("method", "space", "seeds", "protocol_hash") if table[name].n_unique() == 1]
    headers = {"n": "N", "failures": "failed"}
    words = {"method": "{}", "space": "in {}", "seeds": "{} seed(s)", "protocol_hash": "protocol {}"}
    left = [name for name in CELL if name not in shared] + ["metric"]
    right = ["n", *(["seeds"] if "seeds" not in shared else [])]
    right += [name for name in ("failures", "excluded") if (table[name].max() or 0) > 0]
    title = escape(", ".join(words[name].format(table[name][0]) for name in shared))
    printed = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    started = table["start"].is_not_null().any()
    between = ["start", "mean", "95 % interval", "5–95 %"] if started else ["mean", "95 % interval", "median", "5–95 %"]
    for name in [*left, *between, *right]:
        justify = "left" if name in left else "right"
        printed.add_column(headers.get(name, name), justify=justify, no_wrap=name not in CELL)
    for row in table.to_dicts():
        places = decimals(row["mean"], row["low"], row["high"])
        text = {name: show(row[name], places) for name in ("start", "mean", "low", "high", "median", "p5", "p95")}
        text |= {"95 % interval": "{low} – {high}".format(**text), "5–95 %": "{p5} – {p95}".format(**text)}
        numbers = (text[name] for name in between)
        printed.add_row(*(escape(row[name]) for name in left), *numbers, *(str(row[name]) for name in right))
    console = console or Console()
    console.print(printed)
    if 0 < (table["n"].max() or 0) < FEWEST:
        console.print(f"{FEWEST} images or more are needed for an interval that holds what it says")
