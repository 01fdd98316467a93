"""Variants of a method: the settings in which its runs differ, as short text."""

from collections.abc import Mapping, Sequence
from typing import Any

BUDGET = ("budget.evaluations", "budget.seconds")
Flat = dict[str, Any]


def flatten(config: Mapping[str, Any]) -> Flat:
    """``{"optimizer": {"lr": 0.05}}`` → ``{"optimizer.lr": 0.05}``.

    What is null or empty is left out. The order of the projectors, which is the order in which they are carried out,
    is the value of ``projector``.
    """
    flat = dict(_leaves(config, ""))
    if isinstance(projector := config.get("projector"), Mapping) and projector:
        flat["projector"] = "+".join(map(str, projector))
    return flat


def _leaves(node: Any, path: str) -> Any:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    elif node is not None and node != []:
        yield (
            path,
            tuple(node)
            if isinstance(node, list) and all(not isinstance(x, list | dict) for x in node)
            else (str(node) if isinstance(node, list) else node),
        )


def variants(flats: Sequence[Flat]) -> list[dict[str, str]]:
    """For each of some configs the keys that differ among them, with this one's values; empty if there is but one.

    A class stands for the settings that come with it: of ``optimizer.…``, a row with another optimizer names the
    optimizer, and only those of its settings that differ between rows with this optimizer. A key whose value always
    follows that of another (``projector.optimization.steps`` that of ``steps``) is left out.
    """
    if len(flats) < 2:
        return [{} for _ in flats]
    keys = sorted(
        {key for flat in flats for key in flat}, key=lambda key: (not key.startswith("budget."), key.count("."), key)
    )
    differing = [key for key in keys if len({_mark(flat.get(key)) for flat in flats}) > 1]
    shown = [key for key in differing if key in BUDGET or not _follows(key, differing, flats)]
    texts: list[dict[str, str]] = [{} for _ in flats]
    for key in shown:
        family = _family(key, differing)
        for flat, text in zip(flats, texts, strict=True):
            if family is None:
                _add(text, key, flat)
            elif family in flat:
                values = {_mark(other.get(key)) for other in flats if other.get(family) == flat[family]}
                if len(values) > 1:
                    _add(text, key, flat)
    return texts


def _add(text: dict[str, str], key: str, flat: Flat) -> None:
    name = key.removesuffix("._target_")
    value = flat.get(key)
    word = (
        "none"
        if value is None
        else str(value).rsplit(".", 2)[-2 if str(value).count(".") > 1 else -1]
        if name != key
        else _word(value)
    )
    text.setdefault(name, word)


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "[" + ",".join(map(_word, value)) + "]" if isinstance(value, tuple) else str(value)


def _mark(value: Any) -> tuple[str, Any]:
    """Something to tell values apart by, in which 1 is 1.0 but not True."""
    return ("bool" if isinstance(value, bool) else "", value)


def _family(key: str, differing: Sequence[str]) -> str | None:
    """The differing class (or chain of projectors) that a setting comes with, the innermost one."""
    parts = key.split(".")
    for length in range(len(parts) - 1, 0, -1):
        above = ".".join(parts[:length])
        for family in (f"{above}._target_", above):
            if family in differing and family != key:
                return family
    return None


def _follows(key: str, differing: Sequence[str], flats: Sequence[Flat]) -> bool:
    """Whether an earlier key has the same value in every config."""
    for other in differing:
        if other == key:
            return False
        if other not in BUDGET and all(_mark(flat.get(other)) == _mark(flat.get(key)) for flat in flats):
            return True
    return False


def short(variant: Mapping[str, str]) -> str:
    """The part after the ``@`` of a row: the budget alone as a number (``120``, ``5s``), else the keys with values."""
    if variant and all(key in BUDGET for key in variant):
        units = {"budget.evaluations": "", "budget.seconds": "s"}
        words = [value + units[key] for key, value in variant.items() if value != "none"]
        return ",".join(words) or "unlimited"
    return written(variant)


def written(variant: Mapping[str, str]) -> str:
    """The variant in words, ``budget.evaluations=120, optimizer.lr=0.05``."""
    return ",".join(f"{key}={value}" for key, value in variant.items())
