"""The settings on the card of a generator's weights: what no tensor tells."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zstar.checkpoints.io import card_path, read_card
from zstar.config.constraints import Within

PLAIN = str | int | float | bool | None


def card_settings(path: str | Path, known: Mapping[str, Sequence[Any] | Within]) -> dict[str, Any]:
    """What the card beside a file says under ``settings``; empty where it says nothing.

    Arguments:
        path: The file of weights.
        known: Name of each setting that there is → its choices, or the range of numbers that it is from.

    Raises:
        ValueError: They are no settings, or others than these; one sentence with the path.
    """
    settings = read_card(path).get("settings", {})
    if why := unfit(settings, known):
        raise ValueError(f"checkpoint: the card {card_path(path)} cannot be used ({why})")
    return settings


def unfit(settings: Any, known: Mapping[str, Sequence[Any] | Within]) -> str | None:
    """Why these are not settings of those that are known, half a sentence; None where they are."""
    if not isinstance(settings, dict):
        return f"settings is a {type(settings).__name__}; make it a mapping"
    for name, value in settings.items():
        if name not in known:
            return f"settings.{str(name)[:40]} is not for it to say; it may say {', '.join(known) or 'nothing'}"
        if not _is_of(value, known[name]):
            choices = known[name]
            words = str(choices) if isinstance(choices, Within) else "one of " + ", ".join(map(str, choices))
            shown = repr(value)[:40] if isinstance(value, PLAIN) else f"a {type(value).__name__}"
            return f"settings.{name} is {shown}; it must be {words}"
    return None


def _is_of(value: Any, choices: Sequence[Any] | Within) -> bool:
    if isinstance(choices, Within):
        return isinstance(value, int | float) and not isinstance(value, bool) and value in choices
    return any(value == choice and type(value) is type(choice) for choice in choices)
