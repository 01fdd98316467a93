"""Identity of what a configuration builds: its settings, the content of its files, the source of a user's code."""

import functools
import hashlib
import inspect
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from zstar.checkpoints.io import card_path, resolve
from zstar.config import signatures
from zstar.config.constraints import Reads
from zstar.config.paths import place

OWN = Path(__file__).parents[1]  # the package: its own code is covered by ``zstar.RESULTS``


def identify(node: Any, hint: Any = Any, contents: bool = True, foreign: bool = False) -> Any:
    """Plain containers that are equal for two nodes exactly where what they build gives the same answers.

    A setting that names a file stands by the content of that file, with the card beside it, wherever it lies; a class
    or function of the user's own has the hash of the file that defines it beside its name. What that file imports is
    not looked at.

    Arguments:
        node: A plain value of the configuration, whatever is nested in it.
        hint: The annotation of the argument that it is for.
        contents: Whether files are read; else the settings that name them are left out, for what has a
            ``fingerprint()`` of what it has read.
        foreign: Whether this is a setting of a user's own class, which may not declare what is a path: then any name of
            a file counts as one.
    """
    marker = _marker(hint)
    if isinstance(node, str) and marker and not contents:
        return None
    if isinstance(node, str) and (marker or (foreign and contents and _is_file(node))):
        return {"content": digest(node, marker or Reads())}
    if isinstance(node, Mapping):
        return _identify_mapping(node, contents, foreign)
    if isinstance(node, list | tuple):
        return [identify(entry, hint, contents, foreign) for entry in node]
    return node


def _identify_mapping(node: Mapping[str, Any], contents: bool, foreign: bool) -> dict[str, Any]:
    if "_target_" not in node:
        return {str(key): identify(value, Any, contents, foreign) for key, value in node.items()}
    target = signatures.resolve(node["_target_"])
    hints, parameters = signatures.annotations(target), inspect.signature(target).parameters
    unsaid = {name: one.default for name, one in parameters.items() if _marker(hints.get(name)) and name not in node}
    settings = {**{name: value for name, value in unsaid.items() if isinstance(value, str)}, **node}
    code = source(target)
    settings = {name: identify(value, hints.get(name, Any), contents, bool(code)) for name, value in settings.items()}
    return {**settings, "source": code} if code else settings


def source(thing: Any) -> str | None:
    """SHA-256 of the file that defines a class, a function or the class of an object; ``None`` for this package's own
    and for what no file of Python defines."""
    inner = thing.func if isinstance(thing, functools.partial) else thing
    inner = inner if inspect.isclass(inner) or inspect.isroutine(inner) else type(inner)
    with suppress(TypeError, OSError):
        file = inspect.getsourcefile(inspect.unwrap(inner))
        if file is not None and OWN not in Path(file).resolve().parents:
            return _digest_file(Path(file))
    return None


def digest(path: str, reads: Reads) -> str | None:
    """SHA-256 of the content of a file with its card, or of all files of a folder; ``None`` for what is not there."""
    named = place(path)
    if named.is_dir() and not reads.inside:
        files = sorted(file for file in named.rglob("*") if file.is_file())
        whole = hashlib.sha256()
        for file in files:
            whole.update(f"{file.relative_to(named)}\0{_digest_file(file)}\0".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()
    try:
        file = named / reads.inside if named.is_dir() else resolve(path)
    except ValueError:  # neither a file nor the name of shipped weights
        return None
    others = sorted(file.parent.glob(reads.beside)) if reads.beside else []
    parts = [_digest_file(one) for one in dict.fromkeys((file, card_path(file), *others)) if one.is_file()]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest() if parts else None


def _digest_file(path: Path) -> str:
    state = path.stat()
    return _digest_state(path.resolve(), state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=4096)  # of a file as it was then: a sweep asks for the same ones in each of its cells
def _digest_state(path: Path, modified: int, size: int) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()


def _marker(hint: Any) -> Reads | None:
    """How the argument with this annotation reads a file; ``None`` for one that is no path."""
    if get_origin(hint) is Annotated:
        return next((rule for rule in get_args(hint)[1:] if isinstance(rule, Reads)), None)
    return next(filter(None, map(_marker, get_args(hint))), None) if hint is not None else None


def _is_file(value: str) -> bool:
    """Whether a text is the name of a file."""
    with suppress(OSError, ValueError, RuntimeError):  # too long for a path, a null byte, an unknown user
        return place(value).is_file()
    return False
