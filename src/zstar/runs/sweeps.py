"""The outcomes of the cells of a sweep: each writes its own to a file, and the process that began the sweep sums up.

Files, because the cells of a launcher run in other processes and on other machines. What failed is kept beside the
runs, in ``<output>/failed/``, until the same cell succeeds.
"""

import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from zstar.config.build import to_plain
from zstar.config.composition import IMPOSSIBLE
from zstar.config.paths import place, read_text
from zstar.config.reasons import Unfit
from zstar.runs.ending import failure_reason
from zstar.runs.folder import UNHASHED, config_hash, write_json

Outcome = Literal["done", "skipped", "left", "undone", "unfit", "failed"]
FAILURES = "failed"  # the folder beside the runs
LONGEST = 100  # letters of the name of a sweep, before its hash
SWEEP = "sweep.json"  # the words of the command line that began a sweep, beside the outcomes of its cells
WORDS = {
    "done": "done",
    "skipped": "finished before",
    "left": "left to other processes",
    "undone": "ended early and can go on",
    "unfit": "not fitting",
    "failed": "failed",
}
NAMED = {"left": "left", "undone": "undone", "unfit": "does not fit", "failed": "failed"}  # cells that are named


class Cells(Callback):
    """Remembers the folder for the outcomes of the sweep that begins; ``hydra.callbacks`` of the programs.

    Attributes:
        folder: Of the sweep that this process has begun, if it has begun one.
    """

    folder: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls it before the first cell, in the process that begins the sweep."""
        Cells.folder = Path(config.hydra.sweep.dir).absolute() / "cells"
        write_json(Cells.folder / SWEEP, list(config.hydra.overrides.task))


def sweep_name() -> str | None:
    """Name of the sweep that this process's job is a cell of: the words with its grids, and a hash of all of its words,
    so that the same sweep begun again is the same; ``None`` where it is of no sweep."""
    if not HydraConfig.initialized() or HydraConfig.get().mode is not RunMode.MULTIRUN:
        return None
    words = [word for word in _began() if _says_what(word)]
    grids = " ".join(word for word in words if word not in HydraConfig.get().overrides.task)
    return f"{grids[:LONGEST]} {config_hash({'words': sorted(words)})}".strip()


def turn_among(count: int) -> int | None:
    """Which of ``count`` things of a kind, such as GPUs, is for this process's job: the cells of a sweep take one after
    the other. ``None`` for a job of no sweep, and where there is no choice."""
    if count < 2 or not HydraConfig.initialized() or HydraConfig.get().mode is not RunMode.MULTIRUN:
        return None
    return HydraConfig.get().job.num % count


def own_words() -> list[str]:
    """Of the words of this process's job those that say what it computes; of a cell of a sweep, those that it does not
    share with all others. None for a job that no command line began."""
    if not HydraConfig.initialized():
        return []
    shared = _began() if HydraConfig.get().mode is RunMode.MULTIRUN else []
    return [word for word in HydraConfig.get().overrides.task if _says_what(word) and word not in shared]


def _began() -> list[str]:
    try:
        return json.loads(read_text(Path(HydraConfig.get().sweep.dir) / "cells" / SWEEP))
    except (OSError, ValueError):  # begun by something else, or on a machine that does not share the folder
        return []


def _says_what(word: str) -> bool:
    return word.partition("=")[0].lstrip("+~").partition(".")[0] not in UNHASHED


def require_possible(cfg: Mapping[str, Any]) -> None:
    """Errors: ``Unfit`` if the overrides of a cell don't fit one another."""
    if reason := cfg.get(IMPOSSIBLE):
        raise Unfit(reason)


def end_cell(outcome: Outcome, reason: str | None = None) -> None:
    """Say how the cell of this process ended, if it is one of a sweep."""
    hydra = HydraConfig.get()
    path = Path(hydra.sweep.dir) / "cells" / f"{hydra.job.num:06d}.json"
    write_json(path, {"outcome": outcome, "overrides": list(hydra.overrides.task), "reason": reason})


def failure_file(cfg: DictConfig) -> Path:
    """The file for the failure of a cell, named by the hash of its configuration or, without one, of its overrides."""
    words = [word for word in HydraConfig.get().overrides.task if _says_what(word)]
    plain: Mapping[str, Any] = {"overrides": sorted(words)}
    if IMPOSSIBLE not in cfg:
        with suppress(Exception):  # what can't be resolved has no plain form
            plain = to_plain(cfg)
    return place(str(cfg.get("output"))) / FAILURES / f"{config_hash(plain)}.json"


def record_failed_cell(cfg: DictConfig, error: Exception) -> str:
    """Keep what failed, with its traceback, or does not fit; returns the reason in one line."""
    reason = failure_reason(error, str(cfg.get("output")))
    path = failure_file(cfg)
    protocol, budget = (plain_or_none(cfg.get(name)) for name in ("protocol", "budget"))
    record = {
        "status": "unfit" if isinstance(error, Unfit) else "failed",
        "label": cfg.get("label"),
        "overrides": list(HydraConfig.get().overrides.task),
        "reason": reason,
        "traceback": None if IMPOSSIBLE in cfg else "".join(traceback.format_exception(error)),
        "seed": cfg.get("seed"),
        "protocol": protocol,
        "budget": budget,
        "config_hash": path.stem,
    }
    with suppress(OSError):  # where nothing can be written, that is the reason, and the summary says it
        write_json(path, record)
    return reason


def plain_or_none(node: Any) -> Any:
    """A part of a configuration as plain containers."""
    return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node


def sum_up(folder: Path) -> bool:
    """Print how the cells of a sweep ended, with the reason of each failure; returns whether it was a success: none has
    failed, and not all are ones that do not fit."""
    cells = [json.loads(read_text(path)) for path in sorted(folder.glob("[0-9]*.json"))]
    if not cells:
        print(f"sweep: no cell has said how it ended; {folder} has to be the same folder for all machines")
        return False
    ends = [cell["outcome"] for cell in cells]
    counts = [f"{ends.count(outcome)} {words}" for outcome, words in WORDS.items() if outcome in ends]
    print(f"sweep: {len(cells)} {'cell' if len(cells) == 1 else 'cells'}: {', '.join(counts)}")
    for cell, words in zip(cells, distinct([cell["overrides"] for cell in cells]), strict=True):
        if cell["outcome"] in NAMED:
            print(f"{NAMED[cell['outcome']]}: {words}" + (f": {cell['reason']}" if cell["reason"] else ""))
    return "failed" not in ends and set(ends) != {"unfit"}


def distinct(overrides: Sequence[Sequence[str]]) -> Iterator[str]:
    """Of the overrides of each cell, those that it does not share with all others; all of them where there are none."""
    shared = set(overrides[0]).intersection(*overrides[1:])
    for words in overrides:
        yield " ".join([word for word in words if word not in shared] or words)
