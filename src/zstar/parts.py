"""Finished batches on disk: what makes a killed run go on, and any number of images fit in constant memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch

from zstar.benchmark import RESULTS_SCHEMA, failure_rows
from zstar.checkpoints import load_weights, read_card, save_weights
from zstar.inversion import Inversion
from zstar.runs import write_atomic

HISTORY_POINTS = 100


@dataclass(frozen=True)
class Labels:
    """The columns that are the same for every row of a run."""

    protocol_hash: str
    method: str
    space: str
    seed: int


class Parts:
    """The folder ``<run>/parts``: rows, latents and failures of each finished batch.

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
        return read_card(self._path(index)).get("key") == self.key

    def write(self, index: int, inversion: Inversion | None, rows: pl.DataFrame, failed: dict[str, str]) -> None:
        """Store a finished batch; ``inversion`` is ``None`` if none of its images could be read."""
        write_atomic(self._path(index).with_suffix(".parquet"), rows.write_parquet)
        tensors, card = {}, {"key": self.key, "failed": failed, "ids": [], "status": []}
        if inversion is not None:
            tensors = {"latent": inversion.latent, "loss": inversion.loss, "evaluations": inversion.evaluations}
            tensors |= {"seconds": inversion.seconds}
            tensors |= {f"noise/{name}": value for name, value in inversion.noise.items()}
            card |= {"ids": inversion.ids, "status": inversion.status}
        save_weights(self._path(index), tensors, card)

    def failed(self, count: int) -> dict[str, str]:
        """Name → reason of every image that failed in the first ``count`` batches."""
        return {name: why for i in range(count) for name, why in read_card(self._path(i))["failed"].items()}

    def merge_rows(self, count: int, path: Path, labels: Labels) -> None:
        """Stream the rows of the first ``count`` batches into one file, with a row for each image that failed."""
        files = [self._path(i).with_suffix(".parquet") for i in range(count)]
        failures = failure_rows(self.failed(count), **vars(labels)).lazy()
        frames = [pl.scan_parquet(file) for file in files]
        write_atomic(path, lambda part: pl.concat([*frames, failures]).sink_parquet(part))

    def merge_latents(self, count: int, path: Path, card: dict[str, object]) -> None:
        """Join the latents of the first ``count`` batches in one file that ``Inversion`` users can read."""
        cards = [read_card(self._path(i)) for i in range(count)]
        tensors = [load_weights(self._path(i)) for i, part in enumerate(cards) if part["ids"]]
        joined = {name: torch.cat([part[name] for part in tensors]) for name in (tensors[0] if tensors else {})}
        ids = [name for part in cards for name in part["ids"]]
        status = [name for part in cards for name in part["status"]]
        save_weights(path, joined, {"kind": "latents", "ids": ids, "status": status, **card})

    def clear(self) -> None:
        """Remove the parts of a run whose results are joined."""
        for path in sorted(self.folder.iterdir()):
            path.unlink()
        self.folder.rmdir()

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.safetensors"


def long_rows(labels: Labels, inversion: Inversion, metrics: dict[str, Sequence[float]]) -> pl.DataFrame:
    """Final metrics and thinned loss trajectories of a batch, one row per image, step and metric."""
    last = inversion.history["total"].shape[1] - 1
    kept = sorted({*range(0, last + 1, max(1, last // HISTORY_POINTS)), last})
    seconds, frames = inversion.seconds.tolist(), []
    finals = {**metrics, "seconds": seconds, "evaluations": inversion.evaluations.double().tolist()}
    for name, values in finals.items():
        frames.append(
            {"image": inversion.ids, "step": [last] * len(values), "value": values, "seconds": seconds}
            | {"metric": name}
        )
    for name, history in inversion.history.items():
        values = history[:, kept].double().cpu()
        for column, step in enumerate(kept):
            share = step / last if last else 1.0
            frame = {"image": inversion.ids, "step": [step] * len(seconds), "value": values[:, column].tolist()}
            frames.append(frame | {"seconds": [s * share for s in seconds], "metric": f"loss/{name}"})
    fixed = {name: pl.lit(value) for name, value in vars(labels).items()}
    made = pl.concat([pl.DataFrame({**f, "metric": [f["metric"]] * len(f["image"])}) for f in frames])
    return made.with_columns(**fixed).select(*RESULTS_SCHEMA).cast(RESULTS_SCHEMA)
