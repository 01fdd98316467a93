"""Paths by their names: ``~`` is the home, no other character means anything, and text is UTF-8 on every machine."""

import codecs
import os
import sys
from contextlib import suppress
from pathlib import Path

SUBSTITUTES = {"…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "±": "+-", "→": "->", "²": "2", "≥": ">=", "≤": "<="}


def place(path: str | Path, *below: str) -> Path:
    """The path that a person has written: a leading ``~`` is a home, unless it is written ``./~``.

    A ``Path`` has been through here, or was never written by a person, and stays as it is.

    Arguments:
        path: Where.
        below: Names below it, of which no character means anything.
    """
    start = Path(_for_system(os.path.expanduser(path))) if isinstance(path, str) else path
    return start.joinpath(*map(_for_system, below))


def readable(word: str) -> str:
    """A word of the command line or the name of a file, as it was meant.

    Python decodes them by the locale; where that is ASCII, other letters become placeholders, which no text can hold.
    """
    with suppress(UnicodeDecodeError):
        return word if _is_text(word) else os.fsencode(word).decode()
    return word


def _for_system(name: str) -> str:
    """A name that the locale can't express, as Python's own functions take it: with placeholders."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return os.fsdecode(name.encode("utf-8", "surrogateescape"))
    return name


def _is_text(word: str) -> bool:
    return not any("\ud800" <= one <= "\udfff" for one in word)


def read_text(path: str | Path, errors: str = "strict") -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: It is no such text; one sentence with the file.
    """
    try:
        return place(path).read_text(encoding="utf-8-sig", errors=errors)
    except UnicodeDecodeError as error:
        why = f"{error.reason} at byte {error.start}"
        raise ValueError(f"{path}: this is no text in UTF-8 ({why}); save it so") from None


def utf8_name(path: Path) -> str:
    """The whole path as libraries take it that know nothing of a locale and a home: absolute, and decoded as UTF-8.

    Python gives a name that its locale can't express placeholders, which only Python itself understands.
    """
    return os.fsencode(path.absolute()).decode("utf-8", "surrogateescape")


def let_streams_replace() -> None:
    """Let stdout and stderr write what their encoding lacks in other characters, instead of ending the program, and
    each line at once, also where they are a file that somebody looks into."""
    codecs.register_error("zstar", _replace)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # a stream of a notebook or a test, or one that is closed
            if stream.errors != "zstar" or not stream.line_buffering:
                stream.reconfigure(errors="zstar", line_buffering=True)


def _replace(error: UnicodeError) -> tuple[str, int]:
    """What a codec calls at characters that it lacks: what stands for them, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(SUBSTITUTES.get(one, "?") for one in error.object[error.start : error.end]), error.end
