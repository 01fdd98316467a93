"""Leaderboard of one protocol: plain containers, from which tables, figures and the page are made."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from zstar.benchmark.arithmetic import differences
from zstar.benchmark.columns import KID, SORTING, columns, quality
from zstar.benchmark.compare import Entry, Sampling, compare, compare_sets, pareto, worst_images
from zstar.benchmark.discover import Discovery, Run
from zstar.benchmark.features import Sets, network_of
from zstar.benchmark.notes import notes
from zstar.benchmark.rows import Row, make_rows
from zstar.benchmark.trajectories import curve, shared_objective
from zstar.benchmark.variants import BUDGET, written
from zstar.reports.numbers import plain

BASELINES = ("stylegan2", "mean+optimization")  # the default is the first of these that is measured


@dataclass(frozen=True)
class Choices:
    """Settings of a board.

    Attributes:
        baseline: Row or method that all others are compared with; ``None`` for the usual one.
        metrics: Metrics to show; ``None`` for all.
        sort: Metric that rows are sorted by, best first; ``None`` for LPIPS, the perceptual distance, or PSNR.
        sampling: Coverage of the intervals, and the random numbers behind them.
    """

    baseline: str | None = None
    metrics: tuple[str, ...] | None = None
    sort: str | None = None
    sampling: Sampling = field(default_factory=Sampling)


def make_boards(discovery: Discovery, choices: Choices) -> list[tuple[dict[str, Any], list[Row]]]:
    """The board of each protocol with its rows, the one with most runs first.

    A board is a dict of plain containers, the content of ``leaderboard.json``; not-a-number is ``None`` in it. What
    failed or does not fit is listed on the board of its protocol, and on all boards where that can't be told.
    """
    protocols: dict[str, list[Run]] = {}
    for run in discovery.runs:
        protocols.setdefault(str(run.result["protocol_hash"]), []).append(run)
    boards = []
    for key, runs in sorted(protocols.items(), key=lambda item: -len(item[1])):
        rows = make_rows(runs)
        own = choices
        if len(protocols) > 1 and not _named(rows, choices.baseline):
            own = replace(choices, baseline=None)  # a method need not be there in every protocol
        board = make_board(rows, own)
        others = [
            {"cell": f"{len(more)} runs of protocol {other}", "reason": "another protocol: reported apart"}
            for other, more in protocols.items()
            if other != key
        ]
        board["unfit"] = _of_protocol(discovery.unfit, runs, discovery.runs)
        board["failed"] = _of_protocol(discovery.failed, runs, discovery.runs)
        board["left_out"] = [*discovery.left_out, *others]
        boards.append((board, rows))
    if choices.baseline and not any(_named(rows, choices.baseline) for _, rows in boards):
        names = ", ".join(row.id for _, rows in boards for row in rows)
        raise ValueError(f"--baseline: there is no row or method {choices.baseline}; choose from {names}")
    return boards


def make_board(rows: list[Row], choices: Choices) -> dict[str, Any]:
    """The board of one protocol; puts ``rows`` in its order."""
    network = next((name for row in rows for run in row.runs if (name := network_of(run))), None)
    facts = columns(rows, network, choices.metrics)
    better = {fact["name"]: fact["better"] for fact in facts}
    if choices.sort is not None and choices.sort not in better:
        raise ValueError(f"--sort: there is no column {choices.sort}; choose one of {', '.join(better)}")
    sort = choices.sort or next((name for name in SORTING if name in better), next(iter(better)))
    base = _baseline(rows, choices.baseline)
    values: dict[str, dict[str, Entry]] = {row.id: {} for row in rows}
    for name, direction in better.items():
        if name == KID and network is not None:
            entries = compare_sets(rows, base, Sets(rows, network), choices.sampling)
        else:
            entries = compare(rows, base, name, direction, choices.sampling)
        for row, entry in entries.items():
            values[row][name] = entry
    rows.sort(key=lambda row: _rank(values[row.id][sort]["mean"], better[sort]))
    close, images = (
        quality(list(better)),
        list(dict.fromkeys(i for row in rows for run in row.runs for i in run.images)),
    )
    shown = next(iter([n for n in (sort, *close) if n in close and n != KID]), sort)
    failures, rule = worst_images(rows, shown, next(f["title"] for f in facts if f["name"] == shown), better[shown])
    objective, note = shared_objective(rows)
    protocol = _protocol(rows, facts, images)
    board = {
        "title": title(protocol),
        "protocol": protocol,
        "baseline": base.id,
        "sort": sort,
        "level": choices.sampling.level,
        "draws": choices.sampling.draws,
        "metrics": facts,
        "rows": [_entry(row, {name: values[row.id][name] for name in better}, close) for row in rows],
        "curves": {row.id: course for row in rows if (course := curve(row, objective))},
        "curves_note": note,
        "notes": [
            *notes(values, facts, [row.id for row in rows if row.trained], choices.sampling.level),
            *differences({row.id: [run.result for run in row.runs] for row in rows}),
        ],
        "pareto": {name: pareto(values, name, "seconds", better[name]) for name in close},
        "pareto_evaluations": {name: pareto(values, name, "evaluations", better[name]) for name in close},
        "images": images,
        "gallery": failures,
        "gallery_rule": rule,
        "unfit": [],
        "failed": [],
        "left_out": [],
    }
    return plain(board, lambda value: None if math.isnan(value) else value)


def title(protocol: Mapping[str, Any]) -> str:
    """Title of a board; that of a part of a protocol, or of images that no protocol fixes, says so."""
    words = ["Projection methods", protocol["name"], (protocol["track"] or "").replace("_", " ")]
    count = f"{protocol['images']} image{'' if protocol['images'] == 1 else 's'}"
    if protocol["part_of"]:
        words.append(f"only a part of {protocol['part_of']}: {count}")
    elif protocol["name"] and not protocol["frozen"]:
        words.append(f"not frozen: {count}")
    return " – ".join(filter(None, words))


def _entry(row: Row, values: Mapping[str, Entry], close: Sequence[str]) -> dict[str, Any]:
    return {
        "id": row.id,
        "method": row.method,
        "variant": written(row.variant),
        "budgets": _budgets(row),
        "settings": written({key: value for key, value in row.variant.items() if key not in BUDGET}),
        "space": row.space,
        "seeds": len(row.runs),
        "n": max((len(of) for of in row.values.values()), default=0),
        "failures": row.failures,
        "excluded": row.excluded([name for name in close if name != KID]),
        "stochastic": row.stochastic,
        "values": values,
        "per_image": {name: row.values[name] for name in values if name in row.values},
        "folders": [str(run.folder) for run in [*row.runs, *row.also]],
    }


def _rank(mean: float, better: str) -> tuple[bool, float]:
    """Sorts the best first, and rows without a number last."""
    return (mean != mean, 0.0 if mean != mean else -mean if better == "higher" else mean)


def _named(rows: Sequence[Row], name: str | None) -> list[Row]:
    return [row for row in rows if row.id == name] or [row for row in rows if row.method == name]


def _baseline(rows: Sequence[Row], name: str | None) -> Row:
    """The row of that name, or of a method's rows the one with most evaluations; the usual one if no name is given."""
    if name is not None and not _named(rows, name):
        raise ValueError(
            f"--baseline: there is no row or method {name}; choose from {', '.join(row.id for row in rows)}"
        )
    names = (name,) if name is not None else BASELINES
    candidates = next((rows for rows in (_named(rows, n) for n in names) if rows), rows)

    def evaluations(row: Row) -> float:
        return float(np.mean(list(row.values.get("evaluations", {}).values()) or [0.0]))

    return max(candidates, key=evaluations)


def _protocol(rows: Sequence[Row], facts: Sequence[Mapping[str, str]], images: Sequence[str]) -> dict[str, Any]:
    """The protocol that all rows share, in words; ``versions`` of the program where they are of several."""
    run = rows[0].runs[0]
    protocol = run.result.get("protocol") or {}
    spent = {b for row in rows for r in [*row.runs, *row.also] if (b := _budget(r))}
    budgets = sorted(spent, key=lambda text: (text.partition(" ")[2], float(text.partition(" ")[0])))
    versions = sorted({str(r.result.get("version")) for row in rows for r in [*row.runs, *row.also]})
    return {
        "hash": run.result["protocol_hash"],
        "name": protocol.get("name"),
        "track": protocol.get("track"),
        "part_of": protocol.get("part_of"),
        "frozen": protocol.get("data", "") is not None,
        "data": _sentence(run.config.get("data")),
        "fingerprint": protocol.get("data"),
        "generator": run.result.get("generator"),
        "networks": list(dict.fromkeys(fact["network"] for fact in facts if fact["network"])),
        "images": len(images),
        "seeds": len({run.seed for row in rows for run in row.runs}),
        "budgets": budgets,
        "versions": versions if len(versions) > 1 else [],
    }


def _budgets(row: Row) -> list[str]:
    """The budgets that a row stands for; none where all rows of its method have the same."""
    if not any(key in BUDGET for key in row.variant):
        return []
    return list(dict.fromkeys(_budget(run) or "no limit" for run in [*row.runs, *row.also]))


def _budget(run: Run) -> str:
    budget = run.config.get("budget") or {}
    words = [f"{budget[name]} {name}" for name in ("evaluations", "seconds") if budget.get(name) is not None]
    return ", ".join(words)


def _sentence(node: Any) -> str:
    """``{"_target_": "zstar.data.cottages.Cottages", "count": 48}`` → ``Cottages (count 48)``."""
    if not isinstance(node, Mapping):
        return ""
    plain_ones = {
        key: value for key, value in node.items() if key != "_target_" and isinstance(value, str | int | float)
    }
    words = [f"{key} {Path(value).name if key == 'path' else value}" for key, value in plain_ones.items()]
    return f"{str(node.get('_target_', '')).rsplit('.', 1)[-1]} ({', '.join(words)})"


def _of_protocol(
    entries: Sequence[Mapping[str, Any]], runs: Sequence[Run], every: Sequence[Run]
) -> list[dict[str, Any]]:
    """The entries whose protocol is that of ``runs``, or that of no run at all; the same of several seeds once."""

    def name(protocol: Any) -> tuple[Any, Any]:
        return (protocol.get("name"), protocol.get("track")) if isinstance(protocol, Mapping) else (None, None)

    these, known = ({name(run.result.get("protocol")) for run in some} for some in (runs, every))
    kept = [entry for entry in entries if name(entry["protocol"]) in these or name(entry["protocol"]) not in known]
    own = [{key: value for key, value in entry.items() if key != "protocol"} for entry in kept]
    return list({tuple(sorted(entry.items())): entry for entry in own}.values())
