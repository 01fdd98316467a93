"""Precision and machine of runs, and the sentences of a board whose rows differ in them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Results = Sequence[Mapping[str, Any]]


def arithmetic(result: Mapping[str, Any]) -> dict[str, str]:
    """Kind of device and precision of a ``result.json``; one that does not say was in IEEE single precision."""
    gpu = (result.get("machine") or {}).get("gpu")
    device = result.get("device") or ("cuda" if gpu else "cpu")
    return {"device": str(device), "precision": str(result.get("precision") or "exact")}


def machine(result: Mapping[str, Any]) -> str | None:
    """Name of the processor or GPU of a ``result.json``; ``None`` where it does not say."""
    known = result.get("machine") or {}
    return known.get("gpu") or known.get("cpu")


def differences(rows: Mapping[str, Results]) -> Iterator[str]:
    """What rows do not have in common besides their methods: a precision other than exact, and the machine.

    Arguments:
        rows: Row → the ``result.json`` of each of its runs.
    """
    precisions = _names({row: {arithmetic(one)["precision"] for one in results} for row, results in rows.items()})
    if set(precisions) - {"exact"}:
        yield (
            f"Precision: {_listed(precisions, len(rows))}. What is measured is exact in all of them; values that are "
            "close in rows of different precision may differ by that alone."
        )
    machines = _names({row: {machine(one) for one in results} - {None} for row, results in rows.items()})
    if len(machines) > 1:
        yield f"Seconds are those of several machines and can't be compared: {_listed(machines, len(rows))}."


def _names(values: Mapping[str, set[Any]]) -> dict[str, list[str]]:
    """Each of the values of rows → the rows that have it, in their order."""
    kinds = sorted({value for own in values.values() for value in own})
    return {kind: [row for row, own in values.items() if kind in own] for kind in kinds}


def _listed(groups: Mapping[str, Sequence[str]], count: int) -> str:
    return "; ".join(f"{kind} of {'all rows' if len(of) == count else ', '.join(of)}" for kind, of in groups.items())
