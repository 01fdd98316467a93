"""Search spaces: keys with ranges and choices, from a YAML file."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from zstar.config.paths import place, read_text
from zstar.config.signatures import nearest

ALIKE = (  # keys that say where a trial goes, what it is measured on and which random numbers it has
    "output", "name", "label", "tags", "logger", "experiment", "sweep", "hydra", "data", "metric", "protocol", "seed",
    "device", "direction", "editability", "annotation",
)  # fmt: skip
FIELDS = ("low", "high", "log", "step")


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included: whole ones if both are, on a logarithmic scale if ``log``."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are searched."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: Any, key: str) -> str:
        """A value for the command line, chosen by a trial of Optuna."""
        if self.whole:
            return str(trial.suggest_int(key, self.low, self.high, step=int(self.step or 1), log=self.log))
        return repr(float(trial.suggest_float(key, self.low, self.high, step=self.step, log=self.log)))

    def examples(self) -> list[str]:
        """Values to try the key with: both ends."""
        return [str(self.low), str(self.high)]


@dataclass(frozen=True)
class Choice:
    """One of several values, as they stand on a command line."""

    options: tuple[str, ...]

    def suggest(self, trial: Any, key: str) -> str:
        """A value for the command line, chosen by a trial of Optuna."""
        return trial.suggest_categorical(key, self.options)

    def examples(self) -> list[str]:
        """Values to try the key with: all of them."""
        return list(self.options)


Space = dict[str, Range | Choice]


def trials_ahead(space: Space) -> list[dict[str, str]]:
    """Settings to try before the search: the first example of each key, then each other one beside those."""
    first = {key: one.examples()[0] for key, one in space.items()}
    return [first, *({**first, key: value} for key, one in space.items() for value in one.examples()[1:])]


def read_space(name: str, own: Path | None = None) -> Space:
    """The search space in the file ``name``, or in the one of that name in ``own/search``, or that ships in
    ``conf/search``.

    The file maps keys of the configuration to ranges, ``{low: 0.003, high: 0.3, log: true}`` or
    ``{low: 10, high: 200}``, and to lists of choices, ``[w, w_plus]``, of which a choice may be a list itself.

    Raises:
        ValueError: There is no such file, its content is no search space, or it searches what makes trials alike: where
            they go, what they are measured on, and their seed.
    """
    folder = files("zstar.conf").joinpath("search")
    places = [folder] if own is None else [own / "search", folder]
    paths = (
        [place(name)] if Path(name).suffix in (".yaml", ".yml") else [one.joinpath(f"{name}.yaml") for one in places]
    )
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        names = [Path(str(entry)).stem for one in places if one.is_dir() for entry in one.iterdir()]
        raise ValueError(f"search: there is no '{name}'; {nearest(name, names)}, or give the path of a .yaml file")
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise ValueError(f"search: {path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"search: {path} names no key; write lines such as 'optimizer.lr: {{low: 0.003, high: 0.3}}'")
    if alike := [str(key) for key in content if re.split(r"[.@]", str(key))[0] in ALIKE]:
        raise ValueError(f"search: {path} searches {alike[0]}, which all trials have in common; leave it out")
    return {str(key): _read(f"search: {key}", node) for key, node in content.items()}


def _read(key: str, node: Any) -> Range | Choice:
    if isinstance(node, list):
        if len(options := dict.fromkeys(map(in_words, node))) < 2:
            raise ValueError(f"{key}: there is nothing to choose in {node}; give two values or more")
        return Choice(tuple(options))
    if not isinstance(node, Mapping):
        raise ValueError(f"{key}: {node!r} is no range and no list; write {{low: …, high: …}} or [a, b]")
    if unknown := [field for field in node if field not in FIELDS]:
        raise ValueError(f"{key}: a range has no '{unknown[0]}'; {nearest(str(unknown[0]), FIELDS)}")
    low, high, step, log = node.get("low"), node.get("high"), node.get("step"), node.get("log", False)
    for field, value in (("low", low), ("high", high), *([("step", step)] if step is not None else [])):
        if isinstance(value, bool) or not isinstance(value, int | float):
            hint = "; YAML reads 1e-3 as text, write 1.0e-3" if isinstance(value, str) else ""
            raise ValueError(f"{key}: {field} is {value!r} and has to be a number{hint}")
    if not low < high:
        raise ValueError(f"{key}: low={low} is not below high={high}; swap them, or leave the key out")
    if not isinstance(log, bool) or (log and (low <= 0 or step is not None)):
        raise ValueError(f"{key}: log: {log} needs a low above 0 and no step; choose log: false, or another range")
    if step is not None and not 0 < step <= high - low:
        raise ValueError(f"{key}: step={step} does not fit between low={low} and high={high}; choose a smaller one")
    return Range(low, high, log, step)


def quoted(text: str) -> str:
    """Text as it stands on a command line of Hydra, whatever it says."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def in_words(value: Any) -> str:
    """A value of YAML as it stands on a command line: ``true``, ``null``, ``[mean,optimization]``."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(in_words, value))}]"
    return value if isinstance(value, str) else json.dumps(value)
