"""Index of an output folder: which run was the last with some hash, found without reading all runs."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zstar.config.paths import read_text
from zstar.runs.folder import UNHASHED, write_json

INDEX = ".index"
IDENTITY = "identity.json"
HASHES = ("content", "source")  # keys of the identity whose values say nothing to a reader
ABSENT = object()  # a key that only one of two identities has, which is not the same as null


def remember(folder: Path, key: str) -> None:
    """Note that the run in ``folder`` is the last one with ``key``, in the folder around it."""
    write_json(folder.parent / INDEX / f"{key}.json", {"folder": folder.name})


def recall(output: Path, key: str) -> Path | None:
    """The run in ``output`` that was last noted under ``key``, if its folder is still there."""
    try:
        folder = output / json.loads(read_text(output / INDEX / f"{key}.json"))["folder"]
    except (OSError, ValueError, KeyError, TypeError):  # an index is a convenience: without it work is done again
        return None
    return folder if folder.is_dir() else None


def note(folder: Path, identity: Mapping[str, Any], command: str) -> list[str]:
    """Write down what a run depends on before it begins in ``folder``; in words what has changed since the last run
    of the same ``command``, a hash of the configuration as it is said, if that was another one."""
    last = recall(folder.parent, command)
    write_json(folder / IDENTITY, identity)
    remember(folder, command)
    before = None if last is None or last == folder else read_identity(last)
    if before is None or not (what := differences(before, identity)):
        return []
    return [f"{what} changed since {last}; this run starts anew in {folder}"]


def read_identity(folder: Path) -> dict[str, Any] | None:
    """What the run in ``folder`` depends on; ``None`` where nothing is written down."""
    try:
        return json.loads(read_text(folder / IDENTITY))
    except (OSError, ValueError):
        return None


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What of two identities differs that a result depends on, in words; nothing of names and places."""
    hashed = ({key: value for key, value in one.items() if key not in UNHASHED} for one in (before, now))
    return ", ".join(changes(*hashed))


def changes(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """What differs between two identities, in words: ``task.lr: 0.002 → 0.003``, ``the content of data``."""
    if before == now:
        return
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*before, *now]):
            yield from changes(before.get(name, ABSENT), now.get(name, ABSENT), f"{key}.{name}" if key else str(name))
        return
    place, _, name = key.rpartition(".")
    yield f"the {name} of {place}" if name in HASHES else f"{key}: {_short(before)} → {_short(now)}"


def _short(value: Any) -> str:
    if value is ABSENT:
        return "absent"
    text = json.dumps(value, default=str) if not isinstance(value, str) else value
    return text if len(text) <= 60 else f"{text[:57]}…"
