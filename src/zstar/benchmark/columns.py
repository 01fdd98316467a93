"""The columns of a leaderboard: what is measured, in which unit, and which direction is better."""

from collections.abc import Mapping, Sequence
from typing import Any

from zstar.benchmark.rows import Row

KID = "kid"
COSTS = ("seconds", "evaluations", "megabytes")
EDITING = ("leakage", "reached")
ORDER = ("mse", "psnr", "ssim", "ms_ssim", "lpips", "perceptual", KID, *EDITING, *COSTS)
JUDGES = ("lpips", "perceptual", "psnr")  # what rows are sorted by if nobody says: the first that is there
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
    """Name, title, unit, better direction and judging network of the metrics that any row has, in their order.

    Arguments:
        network: Network whose features the runs have, for the distance of sets; ``None`` where they have none.
        wanted: The metrics to keep; an error names one that is not there.
    """
    said: dict[str, Any] = {}
    for run in (run for row in rows for run in row.runs):
        said = {**(run.result.get("metrics") or {}), **said}
    there = list(dict.fromkeys(name for row in rows for name in row.values))
    there += [KID] if network is not None else []
    names = sorted(there, key=lambda name: ORDER.index(name) if name in ORDER else ORDER.index(KID) - 0.5)
    if missing := [name for name in wanted or [] if name not in names]:
        raise ValueError(f"--metrics: no run has {missing[0]}; choose from {','.join(names)}")
    kept = [name for name in names if wanted is None or name in wanted]
    return [_column(name, {"network": network} if name == KID else said.get(name) or {}) for name in kept]


def _column(name: str, fact: Mapping[str, Any]) -> dict[str, str]:
    title, unit, better = KNOWN.get(name, (name, "", "lower"))
    told = {"unit": unit, "better": better, "network": ""} | {key: value for key, value in fact.items() if value}
    return {"name": name, "title": title, **{key: told[key] for key in ("unit", "better", "network")}}


def quality(names: Sequence[str]) -> list[str]:
    """The metrics that say how close a reconstruction is: neither its costs nor how it can be edited."""
    return [name for name in names if name not in (*COSTS, *EDITING)]
