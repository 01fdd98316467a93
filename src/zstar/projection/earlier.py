"""Latents of a finished run that differs from this one only in what is measured of them."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from zstar.checkpoints.formats import aligned
from zstar.checkpoints.io import read_card
from zstar.generators.variables import is_variable
from zstar.inversion import Inversion
from zstar.runs.folder import damaged, read_result, safe_name, write_atomic
from zstar.runs.index import recall

EDITABILITY = "editability"
COST = ("seconds", "evaluations")
PICTURES = ("targets", "reconstructions", "observed", "starts", "strokes", "alternatives", "dragged", "morphs")
SUFFIXES = (".png", ".gif")


@dataclass(frozen=True)
class Earlier:
    """The latents, pictures and rows of a finished run.

    Attributes:
        folder: Its folder.
        measures: Name of each metric, and ``editability``, → the hash of all that it depends on.
    """

    folder: Path
    measures: dict[str, str]

    def inversion(self, ids: list[str], device: torch.device) -> Inversion:
        """The latents of a batch, without images and histories."""
        rows, card = [self._places[name] for name in ids], read_card(self.folder / "latents.safetensors")
        first, last = min(rows), max(rows) + 1
        with safe_open(self.folder / "latents.safetensors", "pt") as file:
            tensors = {name: aligned(file.get_slice(name)[first:last]).to(device) for name in file.keys()}  # noqa: SIM118
        v = {name: value for name, value in tensors.items() if is_variable(name)}
        numbers = {name: tensors[name] for name in ("loss", "evaluations", "seconds")}
        ids, status = card["ids"][first:last], card["status"][first:last]
        whole = Inversion(ids, card["space"], v, None, status=status, noise_mode=card["noise_mode"], **numbers)
        return whole.select([row - first for row in rows])

    def rows(self, ids: list[str], metrics: Collection[str], editability: bool) -> Any:
        """The rows of a batch but for its labels: cost, ways, the ``metrics``, and editability if that is
        wanted; a ``polars.DataFrame``."""
        import polars as pl  # takes a while, and a finished run does without

        from zstar.runs.results import FAILED, START, TRAJECTORY, scan_rows

        name = pl.col("metric").str.strip_prefix(START)
        kept = name.is_in([*COST, *metrics]) | TRAJECTORY
        if editability:
            kept |= ~name.is_in([*COST, *self.measures])
        rows = scan_rows(self.folder / "results.parquet").filter(pl.col("image").is_in(ids))
        return rows.filter(kept & (pl.col("metric") != FAILED)).collect()

    def copy_pictures(self, name: str, folder: Path) -> None:
        """Put the pictures of an image into the folder of another run."""
        for kind, suffix in product(PICTURES, SUFFIXES):
            old, new = (place / kind / f"{safe_name(name)}{suffix}" for place in (self.folder, folder))
            if old.is_file():
                write_atomic(new, lambda part, old=old: shutil.copyfile(old, part))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(read_card(self.folder / "latents.safetensors")["ids"])}


def find_earlier(output: Path, latents: str) -> Earlier | None:
    """The last finished run in ``output`` whose latents have the hash ``latents``, if all of its files are there."""
    if (folder := recall(output, latents)) is None:
        return None
    result = read_result(folder)
    whole = result.get("latents") == latents and not damaged(folder) and (folder / "latents.json").is_file()
    return Earlier(folder, result["measures"]) if whole else None
