"""Table of the page: text, mark and explanation of every entry."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zstar.benchmark.columns import MARKS, VERDICTS, quality
from zstar.benchmark.notes import leaders
from zstar.reports.numbers import decimals, show


def quality_metrics(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The metrics of how close a reconstruction is; first the one that the board is sorted by, or PSNR."""
    names = quality([metric["name"] for metric in board["metrics"]])
    kept = [metric for metric in board["metrics"] if metric["name"] in names]
    first = board.get("sort")
    return sorted(kept, key=lambda metric: (metric["name"] != first, metric["name"] != "psnr"))


def budget(row: Mapping[str, Any]) -> str:
    """Budget and differing settings of a row in words: ``120 evaluations``, or ``50 or 150 evaluations`` if no budget
    limited it."""
    return ", ".join(filter(None, (_either(row["budgets"]), row["settings"])))


def _either(budgets: Sequence[str]) -> str:
    """``50 or 150 evaluations`` for budgets of one kind."""
    kinds = {text.partition(" ")[2] for text in budgets}
    if len(kinds) != 1:
        return " or ".join(budgets)
    return f"{' or '.join(text.partition(' ')[0] for text in budgets)} {kinds.pop()}"


def headings(board: Mapping[str, Any]) -> list[dict[str, str]]:
    """The columns with numbers: name, title, unit, which way is better, and an explanation.

    In words: beside a heading that sorts, an arrow is one of the order.
    """
    heads = []
    for metric in board["metrics"]:
        better = metric.get("better") or ""
        note = f"{metric['title']}: {better} is better" if better else metric["title"]
        note += f"; measured with {metric['network']}" if metric.get("network") else ""
        unit = metric.get("unit") or ""
        unit = "" if metric["title"].lower().startswith(unit.lower()) else unit  # "seconds" needs no "s" beside it
        heads.append(
            {
                **metric,
                "unit": unit,
                "better": better,
                "way": f"{better}\u00a0is better" if better else "",
                "note": note,
            }
        )
    return heads


def rows(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows with an entry for each metric: text, interval, mark of the comparison, and the explanation."""
    best = leaders(board)
    places = {metric["name"]: _places(board, metric["name"]) for metric in board["metrics"]}
    described = []
    for row in board["rows"]:
        entries = []
        for metric in board["metrics"]:
            value = row["values"].get(metric["name"]) or {}
            count = places[metric["name"]]
            count = _own_places(value) if count is None else count
            entry = _entry(row, metric, value, count, level(board))
            entries.append(entry | {"best": row["id"] in best[metric["name"]]})
        described.append({**row, "budget": budget(row), "entries": entries})
    return described


def level(board: Mapping[str, Any]) -> str:
    """Coverage of the intervals in words: ``95 %``, not to be broken."""
    return f"{100 * float(board.get('level') or 0.95):g}\u00a0%"


def number(value: Any) -> float:
    """A number of the board; what is missing is not-a-number."""
    return math.nan if value is None else float(value)


def _own_places(value: Mapping[str, Any]) -> int:
    ends = (None if value.get(end) is None else float(value[end]) for end in ("low", "high"))
    return decimals(number(value.get("mean")), *ends)


def _places(board: Mapping[str, Any], name: str) -> int | None:
    """Decimal places of a column; ``None`` where its values differ so much that each row needs its own."""
    known = [row["values"][name] for row in board["rows"] if name in row["values"]]
    known = [value for value in known if math.isfinite(number(value.get("mean")))]
    sizes = [abs(float(value["mean"])) for value in known if value["mean"]]
    if not sizes or max(sizes) > 20 * min(sizes):
        return None
    counts = sorted(_own_places(value) for value in known)
    return counts[len(counts) // 2]


def _entry(
    row: Mapping[str, Any], metric: Mapping[str, Any], value: Mapping[str, Any], places: int, share: str
) -> dict[str, Any]:
    mean, low, high = (number(value.get(key)) for key in ("mean", "low", "high"))
    verdict = value.get("verdict") or "none"
    known, interval = not math.isnan(mean), not math.isnan(low + high)
    return {
        "value": "" if not known else str(mean).replace("inf", "Infinity"),
        "known": known,
        "text": show(mean, places),
        "interval": f"{show(low, places)} – {show(high, places)}" if interval and low != high else "",
        "change": _change(value, places),
        "verdict": verdict,
        "mark": MARKS.get(verdict, ""),
        "spoken": VERDICTS.get(verdict, ""),
        "note": _note(row, metric, value, places, share) if known else "",
    }


def _change(value: Mapping[str, Any], places: int) -> str:
    difference = number(value.get("difference"))
    if math.isnan(difference) or value.get("verdict") == "baseline":
        return ""
    return f"{'+' if difference > 0 else '−' if difference < 0 else '±'}{show(abs(difference), places)}"


def _note(row: Mapping[str, Any], metric: Mapping[str, Any], value: Mapping[str, Any], places: int, share: str) -> str:
    """Explanation of an entry: the row, its numbers, and the comparison with the baseline, a line each."""
    unit = f" {metric['unit']}" if metric.get("unit") else ""
    more = max(places, _own_places(value))
    low, high, median = (number(value.get(key)) for key in ("low", "high", "median"))
    lines = [f"{row['id']}", f"{metric['title']} {show(number(value.get('mean')), more)}{unit}"]
    if not math.isnan(low + high) and low != high:
        lines[-1] += f", {share} interval {show(low, more)} to {show(high, more)}"
    if not math.isnan(median):
        lines.append(f"median {show(median, more)}{unit}")
    lines.append(f"N {value.get('n', row['n'])}, {_seeds(row)}")
    if value.get("verdict") == "baseline":
        lines.append("this is the baseline")
    elif _change(value, places):
        ends = [number(value.get(f"difference_{end}")) for end in ("low", "high")]
        between = "" if math.isnan(sum(ends)) else " (" + " to ".join(_signed(end, more) for end in ends) + ")"
        lines.append(f"difference from the baseline {_signed(number(value['difference']), more)}{unit}{between}")
        p, verdict = number(value.get("p")), VERDICTS.get(str(value.get("verdict")), "")
        test = "" if math.isnan(p) else f"p {'< 0.001' if p < 0.001 else f'= {p:.3f}'} after Holm's correction"
        lines += [": ".join(part for part in (verdict, test) if part)] if verdict or test else []
    return "\n".join(lines)


def _signed(value: float, places: int) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{show(abs(value), places)}"


def _seeds(row: Mapping[str, Any]) -> str:
    if row.get("stochastic") is False:
        return "no random numbers, so that one seed is all"
    return f"{row.get('seeds', 1)} seed{'' if row.get('seeds', 1) == 1 else 's'}"
