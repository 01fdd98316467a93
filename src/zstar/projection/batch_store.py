"""Finished batches on disk: what makes a killed run go on, and any number of images fit in constant memory."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from zstar.checkpoints.io import read_card, save_weights
from zstar.inversion import Inversion
from zstar.projection.labels import Labels
from zstar.runs.folder import write_atomic, write_json
from zstar.runs.results import RESULTS_SCHEMA, START, failure_rows, scan_rows, write_rows

HISTORY_POINTS = 100
FEATURES = ".features.safetensors"
LAYOUT = 2  # of the files of a batch: one that an earlier version has left in another is projected again


@dataclass(frozen=True)
class Part:
    """What is kept of a batch, on the CPU; its pictures are PNGs and its histories are rows, and neither is kept twice.

    Attributes:
        rows: Its results.
        failed: Name → reason of the images without a result.
        tensors, card: Of the latents; without names if none of the images could be read.
        features: Vectors ``[2, b, d]`` of targets and reconstructions, by the name of the metric of sets.
    """

    rows: pl.DataFrame
    failed: dict[str, str]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=lambda: {"ids": [], "status": []})
    features: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls, inversion: Inversion, rows: pl.DataFrame, failed: dict[str, str], features: dict[str, Tensor]
    ) -> "Part":
        """The part of a batch that was projected, with nothing left on its device."""
        tensors, card = replace(inversion, image=None, history={}).pack()
        return cls(rows, failed, {name: value.detach().cpu() for name, value in tensors.items()}, card, features)


class Parts:
    """The folder ``<run>/parts``: rows, latents, features and failures of each finished batch.

    Arguments:
        folder: The run's folder.
        key: Hash of what the run depends on; parts of another key are ignored and written again.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / "parts"
        self.key = key
        self.folder.mkdir(parents=True, exist_ok=True)

    def done(self, index: int) -> bool:
        """Whether batch ``index`` is finished: its card, written last, is there and belongs to this run."""
        card = read_card(self._path(index))
        return (card.get("key"), card.get("layout")) == (self.key, LAYOUT)

    def write(self, index: int, part: Part) -> None:
        """Store a finished batch, whose pictures are written."""
        path, card = self._path(index), {"key": self.key, "layout": LAYOUT, "failed": part.failed}
        write_rows(path.with_suffix(".parquet"), part.rows)
        if part.features:
            write_atomic(path.with_suffix(FEATURES), lambda file: save_file(part.features, file))
        save_weights(path, part.tensors, part.card | card)

    def rows(self, index: int) -> pl.DataFrame:
        """Results of batch ``index``."""
        return scan_rows(self._path(index).with_suffix(".parquet")).collect()

    def failed(self, count: int) -> dict[str, str]:
        """Name → reason of every image that failed in the first ``count`` batches."""
        return {name: why for i in range(count) for name, why in read_card(self._path(i))["failed"].items()}

    def features(self, count: int) -> dict[str, Tensor]:
        """The vectors ``[2, n, d]`` of all images of the first ``count`` batches, by name."""
        files = [self._path(i).with_suffix(FEATURES) for i in range(count) if read_card(self._path(i))["ids"]]
        parts = [load_file(file) for file in files if file.is_file()]
        return {name: torch.cat([part[name] for part in parts], dim=1) for name in (parts[0] if parts else ())}

    def merge_rows(self, count: int, path: Path, labels: Labels) -> None:
        """Stream the rows of the first ``count`` batches into one file, with a row for each image that failed."""
        files = [self._path(i).with_suffix(".parquet") for i in range(count)]
        failures = failure_rows(self.failed(count), **vars(labels)).lazy()
        write_rows(path, pl.concat([*map(scan_rows, files), failures]))

    def merge_latents(self, count: int, path: Path, card: dict[str, object]) -> None:
        """Join the latents of the first ``count`` batches in one file that ``Inversion.load`` reads."""
        cards = [read_card(self._path(i)) for i in range(count)]
        files = [self._path(i) for i, part in enumerate(cards) if part["ids"]]
        ids = [name for part in cards for name in part["ids"]]
        status = [name for part in cards for name in part["status"]]
        write_atomic(path, lambda file: join(files, file))
        write_json(path.with_suffix(".json"), {"kind": "inversion", "ids": ids, "status": status, **card})

    def clear(self) -> None:
        """Remove the parts of a run whose results are joined."""
        shutil.rmtree(self.folder, ignore_errors=True)  # which a shard that came late may be looking at

    def lock(self, index: int) -> Path:
        """The file that is locked by who works on batch ``index``."""
        return self.folder / f".{index:06d}.lock"

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.safetensors"


def join(files: Sequence[Path], path: Path) -> None:
    """Put safetensors files of the same names end to end, one tensor at a time in memory."""
    header: dict[str, dict[str, Any]] = {}
    for file in files:
        with file.open("rb") as stream:
            part = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        for name, entry in sorted(part.items()):
            whole = header.setdefault(name, {"dtype": entry["dtype"], "shape": [0, *entry["shape"][1:]], "bytes": 0})
            whole["shape"][0] += entry["shape"][0]
            whole["bytes"] += entry["data_offsets"][1] - entry["data_offsets"][0]
    start = 0
    for entry in header.values():
        size = entry.pop("bytes")
        entry["data_offsets"] = [start, start := start + size]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the format aligns its data to eight bytes
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name in header:
            for file in files:
                with safe_open(file, "pt") as part:
                    stream.write(part.get_tensor(name).numpy().tobytes())


def long_rows(labels: Labels, inversion: Inversion, metrics: dict[str, Sequence[float]]) -> pl.DataFrame:
    """Final metrics and thinned loss trajectories of a batch, one row per image, step and metric.

    An image that stopped early has the steps that it made itself, whatever its neighbours in the batch did.
    """
    rows = end_rows(inversion, metrics)
    made, spent = steps_made(inversion), inversion.seconds.tolist()
    for name, history in inversion.history.items():
        for image, values, there, seconds in zip(inversion.ids, history.cpu(), made, spent, strict=True):
            points = values[there].tolist()
            last = len(points) - 1
            for step in sorted({*range(0, last + 1, max(1, last // HISTORY_POINTS)), last}):
                point = {"step": step, "metric": f"loss/{name}", "value": points[step]}
                rows.append({"image": image, **point, "seconds": seconds * (step / last if last else 1.0)})
    return labelled(labels, rows)


def start_rows(labels: Labels, start: Inversion, metrics: dict[str, Sequence[float]]) -> pl.DataFrame:
    """Metrics of the last step's starting point, named ``start/…``, at the step where it was reached."""
    return labelled(labels, end_rows(start, metrics, START))


def end_rows(inversion: Inversion, metrics: dict[str, Sequence[float]], prefix: str = "") -> list[dict[str, Any]]:
    """Metrics, seconds and evaluations of each image of a batch, at the last step that it made."""
    seconds = inversion.seconds.tolist()
    values = {**metrics, "seconds": seconds, "evaluations": inversion.evaluations.double().tolist()}
    last = (steps_made(inversion).sum(dim=1) - 1).tolist()
    return [
        {"image": image, "step": last[row], "metric": prefix + name, "value": value[row], "seconds": seconds[row]}
        for row, image in enumerate(inversion.ids)
        for name, value in values.items()
    ]


def steps_made(inversion: Inversion) -> Tensor:
    """Which columns of the history an image has itself, ``[b, t]``."""
    made = ~inversion.history["total"].cpu().isnan()
    made[:, -1] = True  # the value at the end, also of an image that diverged
    return made


def labelled(labels: Labels, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows with the columns that all of them share; points on the way that have no value are left out."""
    fixed = {name: pl.lit(value) for name, value in vars(labels).items()}
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(**fixed).select(*RESULTS_SCHEMA)
    trajectory = pl.col("metric").str.contains("/")
    return frame.cast(RESULTS_SCHEMA).filter(~trajectory | pl.col("value").is_not_nan())
