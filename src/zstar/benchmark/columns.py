"""Columns of a leaderboard: metrics with their units and better directions, and the signs of all of its tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from zstar.benchmark.rows import Row
from zstar.reports.numbers import ARROWS

KID = "kid"
COSTS = ("seconds", "evaluations", "megabytes")
EDITING = ("leakage", "reached")
ORDER = ("mse", "psnr", "ssim", "ms_ssim", "lpips", "perceptual", KID, *EDITING, *COSTS)
SORTING = ("lpips", "perceptual", "psnr")  # the default is to sort by the first of these that is measured
MARKS = {"better": "▲", "worse": "▼", "same": "="}  # of the comparison with the baseline
VERDICTS = {"better": "better", "worse": "worse", "same": "no difference shown"}
KNOWN = {
    "mse": ("MSE", "", "lower"),
    "psnr": ("PSNR", "dB", "higher"),
    "ssim": ("SSIM", "", "higher"),
    "ms_ssim": ("MS-SSIM", "", "higher"),
    "lpips": ("LPIPS", "", "lower"),
    "perceptual": ("perceptual", "", "lower"),
    KID: ("KID", "", "lower"),
    "leakage": ("leakage", "", "lower"),
    "reached": ("reached", "", "higher"),
    "seconds": ("seconds", "s", "lower"),
    "evaluations": ("evaluations", "", "lower"),
    "megabytes": ("size", "MB", "lower"),
}


def columns(rows: Sequence[Row], network: str | None, wanted: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Name, title, unit, better direction and network of the metrics that any row has, in their order.

    Arguments:
        network: Network whose features the runs have, for the distance of sets; ``None`` where they have none.
        wanted: The metrics to keep; ``None`` for all.

    Raises:
        ValueError: No row has one of the ``wanted`` metrics.
    """
    recorded: dict[str, Any] = {}
    for run in (run for row in rows for run in row.runs):
        recorded = {**(run.result.get("metrics") or {}), **recorded}
    measured = list(dict.fromkeys(name for row in rows for name in row.values))
    measured += [KID] if network is not None else []
    names = sorted(measured, key=lambda name: ORDER.index(name) if name in ORDER else ORDER.index(KID) - 0.5)
    if missing := [name for name in wanted or [] if name not in names]:
        raise ValueError(f"--metrics: no run has {missing[0]}; choose from {','.join(names)}")
    kept = [name for name in names if wanted is None or name in wanted]
    return [_column(name, {"network": network} if name == KID else recorded.get(name) or {}) for name in kept]


def _column(name: str, record: Mapping[str, Any]) -> dict[str, str]:
    title, unit, better = KNOWN.get(name, (name, "", "lower"))
    facts = {"unit": unit, "better": better, "network": ""} | {key: value for key, value in record.items() if value}
    return {"name": name, "title": title, **{key: facts[key] for key in ("unit", "better", "network")}}


def quality(names: Sequence[str]) -> list[str]:
    """The metrics of how close a reconstruction is: neither costs nor editability."""
    return [name for name in names if name not in (*COSTS, *EDITING)]


def heading(metric: Mapping[str, str]) -> str:
    """``PSNR ↑ (dB)``."""
    return " ".join([metric["title"], ARROWS[metric["better"]], *([f"({metric['unit']})"] if metric["unit"] else [])])
