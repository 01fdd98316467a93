"""Error messages for a command line and the files that it names: one sentence with the fix."""

import errno
import inspect
import re
from collections.abc import Collection, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import ListConfig, OmegaConf

from zstar.config.check import MULTI_SELECT
from zstar.config.paths import place
from zstar.config.signatures import UnknownTarget, nearest, resolve

FULL = (errno.ENOSPC, errno.EDQUOT)


def complain(error: Exception, output: str) -> str | None:
    """The message for an error that the input of a job has caused; ``None`` for a defect of the program."""
    if isinstance(error, OSError) and error.errno is not None:
        file, folder = Path(error.filename or place(output)), place(output)
        inside = file.is_relative_to(folder) or file.is_relative_to(folder.absolute())
        if inside or folder.absolute().is_relative_to(file.absolute()) or error.errno in FULL:
            return f"output: {error.strerror} ({file}); choose another output or name"
        return f"{file}: {error.strerror}"
    return str(error) if isinstance(error, ValueError | FileNotFoundError) else None


def explain(error: Exception, words: Sequence[str] = ()) -> str | None:
    """The message for an error of Hydra about the command line ``words``: key, mistake, and the nearest right name."""
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if isinstance(error, ValueError):  # of Hydra; a job explains its own errors
        return next((_no_option(*word.split("=", 1)) for word in words if _chooses_nothing(word)), None)
    key = re.search(r"Could not override '([^']+)'", str(error))
    if isinstance(error, ConfigCompositionException) and key:
        return _unknown_key(key[1], error)
    return " ".join(str(error).split())


def _unreadable(word: str) -> str:
    key = word.partition("=")[0]
    if "=" not in word:
        return f"{word}: has no value; write {word}=…"
    if any(word.count(a) != word.count(b) for a, b in ("[]", "{}", "()")) or word.count("'") % 2 or word.count('"') % 2:
        return f"{word}: a bracket or a quote is not closed; close it, or put the whole word in quotes for the shell"
    return f"{word}: the value can't be read; put quotes around it: {key}='\"…\"'"


def _chooses_nothing(word: str) -> bool:
    """Whether a word gives a group something that can't be the name of one of its files."""
    key = word.partition("=")[0]
    if not re.fullmatch(r"[a-z_]+=.*", word) or not files("zstar.conf").joinpath(key).is_dir():
        return False
    return not isinstance(OmegaConf.from_dotlist([word])[key], str | ListConfig)


def _no_option(group: str, value: str) -> str:
    empty = f", or {group}=[] for none" if group in MULTI_SELECT else ""
    return f"{group}: {value} is no option; {nearest(value, _options(group))}{empty}"


def _missing_option(error: MissingConfigException) -> str:
    wanted = re.search(r"Could not (?:find|load) '([^']+)'", str(error))
    if not wanted:
        return " ".join(str(error).split())
    group, _, option = wanted[1].rpartition("/")
    return f"{group}: there is no option '{option}'; {nearest(option, error.options or _options(group))}"


def _options(group: str) -> list[str]:
    """The files of a group in the package; Hydra itself says nothing of the entries of a list."""
    folder = files("zstar.conf").joinpath(group)
    names = [Path(entry.name) for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted(name.stem for name in names if name.suffix == ".yaml")


def _arguments(parent: Any) -> Collection[str]:
    """What the target of a node takes; nothing for a node without one."""
    target = parent.get("_target_") if parent is not None and hasattr(parent, "get") else None
    try:
        return inspect.signature(resolve(target)).parameters if target else ()
    except (UnknownTarget, ValueError):
        return ()


def _unknown_key(key: str, error: ConfigCompositionException) -> str:
    """Walk down the part of the config that is there, and say where the key leaves it."""
    parent = getattr(error.__cause__, "parent_node", None)
    present = list(parent.keys()) if parent is not None and hasattr(parent, "keys") else []
    names = key.split(".")
    missing = next(
        (name for name in names if re.search(rf"[Kk]ey '{re.escape(name)}'", str(error.__cause__))), names[-1]
    )
    path = ".".join(names[: names.index(missing)])
    if path in MULTI_SELECT:
        choice = ",".join([*present, missing])
        return f"{key}: '{missing}' was not chosen; add it: {path}=[{choice}], or drop the value"
    where = f"'{path}'" if path else "the config"
    if path and missing in _arguments(parent):
        return f"{key}: {where} takes it and does not name it; add it with a plus: +{key}=…"
    return f"{key}: {where} has no key '{missing}'; {nearest(missing, present)}"
