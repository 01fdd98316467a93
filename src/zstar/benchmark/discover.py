"""Discovery of the runs below some folders: finished, failed, and left out with a reason."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from zstar.benchmark.arithmetic import arithmetic
from zstar.config.paths import read_text
from zstar.runs.folder import UNHASHED, config_hash, safe_name
from zstar.runs.results import FAILED, RESULTS_SCHEMA, scan_rows

INSIDE = {"targets", "observed", "reconstructions", "starts", "parts", "wandb"}  # folders of a run that hold no runs
MEASURED = {  # in the protocol hash
    "data", "operator", "generator", "metric", "editability", "direction", "annotation", "protocol",
}  # fmt: skip
NEEDED = ("config_hash", "protocol_hash", "method", "space", "seed")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where libyaml is there


@dataclass(frozen=True)
class Run:
    """A finished projection run.

    Attributes:
        folder: Its folder.
        result: Its ``result.json``.
        config: Its ``config.yaml``.
        values: Its final values in long format, see :data:`zstar.runs.results.RESULTS_SCHEMA`.
    """

    folder: Path
    result: dict[str, Any]
    config: dict[str, Any]
    values: pl.DataFrame

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.result["seed"])

    @property
    def settings(self) -> str:
        """Hash of the method's settings; two runs of a protocol that have it in common differ in their seed only."""
        return config_hash(self.method_config)

    @property
    def method_config(self) -> dict[str, Any]:
        """The config without the seed, what only chooses where results go, and what the protocol hash stands for; with
        the device and the precision as they were."""
        kept = {key: value for key, value in self.config.items() if key not in UNHASHED | MEASURED | {"seed"}}
        return {**kept, **arithmetic(self.result)}

    @property
    def picture_of(self) -> dict[str, Path]:
        """Image → PNG file of its reconstruction, for images with a result."""
        return _pictures(self.folder / "reconstructions", self.images)

    @property
    def target_of(self) -> dict[str, Path]:
        """Image → PNG file of the target."""
        return _pictures(self.folder / "targets", self.images)

    @property
    def images(self) -> list[str]:
        """Names of all images that were tried, in their order."""
        return self.values["image"].unique(maintain_order=True).to_list()


@dataclass
class Discovery:
    """Everything below some folders.

    Attributes:
        runs: Finished projection runs, each once.
        failed: Cells that failed, and folders where a run has failed; without those that have succeeded since.
        unfit: Cells whose choices do not go together, or with what is installed, with the reason.
        left_out: Folders that are no finished projection, and why.
    """

    runs: list[Run] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    unfit: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)


class Unreadable(Exception):
    """A folder that is no finished projection run; the message is the reason in a sentence."""


def find_runs(folders: Sequence[str | Path]) -> Discovery:
    """Read all runs below some folders, at any depth; what can't be read is listed and the rest goes on.

    A run that occurs twice (the same config, seed included) counts once, from the folder that comes first.
    """
    discovery, places, broken, known = Discovery(), {}, [], set()
    for folder in _run_folders(folders):
        try:
            run = read_run(folder)
        except Unreadable as error:
            if (folder / "failed.txt").is_file() and not (folder / "result.json").is_file():
                broken.append(folder)
            else:
                discovery.left_out.append({"cell": str(folder), "reason": str(error)})
            continue
        key = (run.result["protocol_hash"], run.result["method"], run.result["space"], run.settings, run.seed)
        if key in places:
            same = (
                "the same run as" if places[key][1] == run.result["config_hash"] else "other weights, but the config of"
            )
            discovery.left_out.append({"cell": str(folder), "reason": f"{same} {places[key][0]}, which is shown"})
            continue
        places[key] = (folder, run.result["config_hash"])
        discovery.runs.append(run)
    for path in _failure_records(folders):
        known.add(_add_failure(path, discovery))
    for folder in broken:
        config, last = _settings(folder), _last_line(read_text(folder / "failed.txt", "replace"))
        known_by_sweep = (config.get("label"), config.get("seed"), last) in known
        if not known_by_sweep and not any(_succeeds(run, config) for run in discovery.runs):
            discovery.failed.append({"cell": str(folder), "reason": last, "protocol": config.get("protocol")})
    return discovery


def read_run(folder: Path) -> Run:
    """Read one run folder; raises :class:`Unreadable` with the reason if it is no finished projection run."""
    if not (folder / "result.json").is_file():
        raise Unreadable("not finished: there is no result.json; the same command goes on with it")
    result = _read(folder / "result.json", json.loads)
    if not (folder / "results.parquet").is_file():
        raise Unreadable("no projection: there is no results.parquet")
    if not isinstance(result, dict) or result.get("status") != "finished":
        raise Unreadable("not finished: result.json does not say so")
    if missing := [name for name in NEEDED if result.get(name) is None]:
        raise Unreadable(f"no projection: result.json has no {missing[0]}")
    config = _read(folder / "config.yaml", lambda text: yaml.load(text, LOADER))  # noqa: S506, both loaders are safe
    if not isinstance(config, dict):
        raise Unreadable("config.yaml holds no settings")
    try:
        rows = scan_rows(folder / "results.parquet").select(*RESULTS_SCHEMA).cast(RESULTS_SCHEMA)
        values = rows.filter(~pl.col("metric").str.contains("/")).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise Unreadable(f"results.parquet can't be read: {str(error).splitlines()[0]}") from error
    if values.is_empty():
        raise Unreadable("results.parquet has no final value")
    if values.filter(pl.col("metric") != FAILED).is_empty():
        raise Unreadable(f"every image failed; {folder / 'result.json'} says why")
    return Run(folder, result, config, values)


def failed_images(run: Run) -> set[str]:
    """Images of a run that have no result."""
    named = run.values.filter(pl.col("metric") == FAILED)["image"].to_list()
    return {*named, *(run.result.get("failed") or {})}


def _read(path: Path, parse: Any) -> Any:
    try:
        return parse(read_text(path))
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = str(error).splitlines()[0] if path.is_file() else "there is none"
        raise Unreadable(f"{path.name} can't be read: {why}") from error


def _run_folders(folders: Iterable[str | Path]) -> Iterator[Path]:
    """Folders that look like a run's, each once, those of a folder in the order of their names."""
    done = set()
    for top in folders:
        for where, below, files in os.walk(top, followlinks=True):
            folder = Path(where)
            below[:] = sorted(name for name in below if not name.startswith("."))
            if folder.resolve() in done:
                below[:] = []
                continue
            done.add(folder.resolve())
            if {"result.json", "config.yaml", "failed.txt", "results.parquet"} & set(files):
                below[:] = [name for name in below if name not in INSIDE]
                yield folder


def _failure_records(folders: Iterable[str | Path]) -> Iterator[Path]:
    paths = (path for top in folders for path in sorted(Path(top).rglob("failed/*.json")))
    yield from {path.resolve(): path for path in paths}.values()


def _add_failure(path: Path, discovery: Discovery) -> tuple[Any, ...]:
    """List a cell that failed, unless it was done since; returns what tells it from others."""
    try:
        record = _read(path, json.loads)
        label, reason = record.get("label"), str(record["reason"])
        overrides = " ".join(map(str, record.get("overrides") or [])) or path.stem
    except (Unreadable, KeyError, AttributeError, TypeError):
        discovery.left_out.append({"cell": str(path), "reason": "no record of a failed cell"})
        return ()
    protocol, last = record.get("protocol"), _last_line(str(record.get("traceback") or ""))
    if any(_succeeds(run, record) for run in discovery.runs):
        pass
    elif record.get("status") == "unfit":
        discovery.unfit.append({"method": label or overrides, "reason": reason, "protocol": protocol})
    else:
        discovery.failed.append({"cell": overrides, "reason": reason, "protocol": protocol})
    return (label, record.get("seed"), last)


def _succeeds(run: Run, record: Mapping[str, Any]) -> bool:
    """Whether a run has finished what a record says that failed: the same cell, or the method under the same protocol,
    with its seed and budget, whatever else was changed to make it run."""
    if run.result["config_hash"] == record.get("config_hash"):
        return True
    budgets = [{key: value for key, value in (of.get("budget") or {}).items() if value} for of in (run.config, record)]
    return (
        record.get("label") == run.result["method"]
        and (record.get("seed") == run.seed or run.result.get("stochastic") is False)
        and budgets[0] == budgets[1]
        and record.get("protocol") == run.result.get("protocol")
    )


def _settings(folder: Path) -> Mapping[str, Any]:
    try:
        config = _read(folder / "config.yaml", lambda text: yaml.load(text, LOADER))  # noqa: S506
    except Unreadable:
        return {}
    return config if isinstance(config, Mapping) else {}


def _last_line(text: str) -> str:
    """The last line of a traceback, which is the reason."""
    return (text.strip().splitlines() or [""])[-1]


def _pictures(folder: Path, images: Iterable[str]) -> dict[str, Path]:
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    names = {image: f"{safe_name(image)}.png" for image in images}
    return {image: folder / name for image, name in names.items() if name in there}
