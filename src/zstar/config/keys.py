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
