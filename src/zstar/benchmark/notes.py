"""What the numbers of a board can not say, in sentences that stand wherever it stands."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zstar.benchmark.columns import KID
from zstar.stats.comparison import FEWEST, least_chance

Entry = Mapping[str, Any]
JUDGES = {"judge64": "a network of the cottages that ships to measure with: no loss uses it unless it is told to"}


def notes(
    values: Mapping[str, Mapping[str, Entry]], facts: Sequence[Mapping[str, str]], trained: Sequence[str], level: float
) -> list[str]:
    """The sentences for a board.

    Arguments:
        values: Row → metric → its entry.
        facts: The metrics.
        trained: The rows that an inverting network has a part in.
        level: Coverage of the intervals; what is left of 1 is the level of the tests.
    """
    sentences = [*_weak_tests(values, facts, 1 - level), *_few_images(values), *_one_training(trained)]
    for network in dict.fromkeys(fact["network"] for fact in facts if fact["network"] in JUDGES):
        titles = " and ".join(fact["title"] for fact in facts if fact["network"] == network)
        sentences.append(f"{network}, by which {titles} are measured, is {JUDGES[network]}.")
    if any(fact["name"] == KID for fact in facts):
        sentences.append(
            "KID is estimated without bias, so that it falls below zero by chance: none is the best of which the "
            "interval holds zero."
        )
    return sentences


def leaders(board: Mapping[str, Any]) -> dict[str, set[str]]:
    """Metric → rows with the best mean; none where all are alike, or where the estimate can't be told from zero."""
    best_rows = {}
    for metric in board["metrics"]:
        entries = {row["id"]: row["values"].get(metric["name"]) or {} for row in board["rows"]}
        known = {name: entry["mean"] for name, entry in entries.items() if entry.get("mean") is not None}
        known = {name: mean for name, mean in known.items() if not math.isnan(mean)}
        best = (max if metric["better"] == "higher" else min)(known.values(), default=math.nan)
        first = {name for name, mean in known.items() if mean == best}
        doubtful = metric["name"] == KID and not all(_above_zero(entries[name]) for name in first)
        best_rows[metric["name"]] = set() if doubtful or len(first) == len(known) else first
    return best_rows


def _above_zero(entry: Entry) -> bool:
    """Whether an interval is known and lies above zero."""
    return entry.get("low") is not None and entry["low"] > 0


def _weak_tests(
    values: Mapping[str, Mapping[str, Entry]], facts: Sequence[Mapping[str, str]], chance: float
) -> Iterator[str]:
    """The metrics of which no test could show anything: the smallest p-value, corrected, is not below ``chance``."""
    weak: dict[tuple[int, int], list[str]] = {}
    tested = 0
    for fact in facts:
        pairs = [row[fact["name"]]["pairs"] for row in values.values() if not math.isnan(row[fact["name"]]["p"])]
        if not pairs:
            continue
        tested += 1
        if len(pairs) * least_chance(max(pairs)) >= chance:
            weak.setdefault((max(pairs), len(pairs)), []).append(fact["title"])
    for (images, rows), titles in weak.items():
        least, needed = least_chance(images), images
        while rows * least_chance(needed) >= chance and needed < 1000:
            needed += 1
        corrected = f", and Holm's correction of {rows} comparisons makes it {min(1.0, rows * least):.3g}"
        yield (
            f"No test {'here' if len(titles) == tested else f'of {chr(44).join(titles)}'} can show a difference: of "
            f"{images} {'image' if images == 1 else 'images'} the smallest p-value is "
            f"{f'2/2^{images} = ' if images > 1 else ''}{least:.3g}{corrected if rows > 1 else ''}; it takes {needed} "
            "images or more."
        )


def _few_images(values: Mapping[str, Mapping[str, Entry]]) -> Iterator[str]:
    if 0 < max((entry["n"] for row in values.values() for entry in row.values()), default=0) < FEWEST:
        yield f"No interval of fewer than {FEWEST} images covers as often as it says, so none is shown."


def _one_training(trained: Sequence[str]) -> Iterator[str]:
    if trained:
        words = f"{', '.join(trained)}: an inverting network has a part in "
        words += "this row" if len(trained) == 1 else "these rows"
        yield (
            f"{words}, as one training has made it. Intervals and tests are over images; another training, which moves "
            "all images together, is not covered by them."
        )
