"""Keys in error messages: those that a person has set."""

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zstar.config.signatures import resolve

KEY = re.compile(r"[a-z_]\w*(?:\.\w+)+")


@contextmanager
def naming(key: str | None, target: Any) -> Iterator[None]:
    """Within the context, an error that begins with an argument of ``target``, by the key that it usually has, begins
    with the one that it has here, below ``key``: a network knows nothing of where in a configuration it stands."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        if key is not None and len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (rename(error.args[0], key, inspect.signature(resolve(target)).parameters),)
        raise


def rename(sentence: str, key: str, arguments: Any) -> str:
    """The sentence with its first key, from the first of ``arguments`` in it on, put below ``key``."""
    found = KEY.match(sentence)
    parts = found[0].split(".") if found else []
    places = [place for place in range(1, len(parts)) if parts[place] in arguments]
    if found is None or not places:
        return sentence
    depth = key.count(".") + 1  # of the usual key too: a class may be called as one of its arguments is
    place = next((place for place in places if place >= depth), places[0])
    return re.sub(rf"(?<![\w.]){re.escape(found[0])}(?!\w)", ".".join([key, *parts[place:]]), sentence)


def name_file(error: Exception, cfg: Any) -> None:
    """Let an error on a file, or on the card beside it, that begins with ``checkpoint: ``, as what reads files knows no
    better, or with a key that has a star, begin with the key of ``cfg`` that names the file."""
    sentence = error.args[0] if len(error.args) == 1 else None
    if not isinstance(error, ValueError | FileNotFoundError) or not isinstance(sentence, str):
        return
    begin = re.match(r"(?:[a-z_]+\.\*\.[\w.]+|checkpoint): ", sentence)
    for key, value in texts(cfg) if begin else ():
        named, card = re.escape(value), re.escape(value.removesuffix(".safetensors")) + r"\.json"
        word = set(value).isdisjoint("./")  # which may be there by chance, and a path is not
        form = rf"'{named}'|/{named}\.(safetensors|json)" if word else rf"(?<![\w.-])({named}|{card})(?![\w/-])"
        if value and re.search(form, sentence[begin.end() :]):
            error.args = (f"{key}: {sentence[begin.end() :]}",)
            return


def texts(cfg: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """All texts of a configuration, but for targets, with their keys."""
    items: Any = cfg.items() if isinstance(cfg, dict) else enumerate(cfg) if isinstance(cfg, list) else ()
    for name, value in items:
        if isinstance(value, str) and name != "_target_":
            yield f"{key}{name}", value
        else:
            yield from texts(value, f"{key}{name}.")
