"""The JSON cards beside files of weights."""

import json
from pathlib import Path
from typing import Any

from zstar.config.paths import place, read_text


def card_path(path: str | Path) -> Path:
    """The path of the JSON card of a file of weights, if it has one."""
    return place(path).with_suffix(".json")


def read_card(path: str | Path) -> dict[str, Any]:
    """The JSON card beside a file of weights, a mapping; empty where there is none."""
    card = card_path(path)
    try:
        content = json.loads(read_text(card)) if card.is_file() else {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"checkpoint: the card {card} is no JSON ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"checkpoint: the card {card} holds a {type(content).__name__}; a card is a mapping")
    return content
