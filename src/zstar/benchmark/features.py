"""Features that runs leave, and the kernel distance between targets and reconstructions of a row."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file

from zstar.benchmark.discover import Run, failed_images
from zstar.benchmark.rows import Row
from zstar.config.paths import read_text
from zstar.stats.kernel_distance import kernel_distance


@dataclass(frozen=True)
class Features:
    """Features of the targets and reconstructions of a run, by image."""

    network: str
    targets: dict[str, Float[np.ndarray, " d"]]
    made: dict[str, Float[np.ndarray, " d"]]


def network_of(run: Run) -> str | None:
    """Name of the network whose features a run has; ``None`` if it has none."""
    card = _card(run.folder)
    return str(card.get("network") or "unnamed") if card else None


def read_features(run: Run) -> Features | None:
    """The features of the images of a run that did not fail, or ``None`` if they are not there or can't be used."""
    card, network = _card(run.folder), network_of(run)
    if not card or network is None:
        return None
    try:
        tensors = load_file(run.folder / "features.safetensors")
        targets, made = tensors["targets"], tensors["reconstructions"]
    except (OSError, KeyError, SafetensorError):
        return None
    ids = [str(name) for name in card.get("ids") or []]
    if targets.shape != made.shape or targets.ndim != 2 or len(ids) != len(targets):
        return None
    failed = failed_images(run)
    fine = np.isfinite(targets).all(axis=1) & np.isfinite(made).all(axis=1)
    kept = [(name, i) for i, name in enumerate(ids) if name not in failed and fine[i]]
    return Features(network, {name: targets[i] for name, i in kept}, {name: made[i] for name, i in kept})


class Sets:
    """Kernel distances of the rows of a board, all with features of the same network and standardised alike.

    Arguments:
        rows: The rows; those of which a seed has no features of ``network`` have no distance.
        network: Name of the network.
    """

    def __init__(self, rows: Sequence[Row], network: str) -> None:
        self.seeds: dict[str, list[Features]] = {}
        for row in rows:
            seeds = [features for run in row.runs if (features := read_features(run)) and features.network == network]
            if len(seeds) == len(row.runs):
                self.seeds[row.id] = seeds
        targets = {name: x for seeds in self.seeds.values() for seed in seeds for name, x in seed.targets.items()}
        self.reference = np.stack(list(targets.values())) if targets else np.zeros((0, 1))

    def images(self, row: Row) -> list[str]:
        """The images that all seeds of a row have."""
        seeds = self.seeds.get(row.id) or []
        return [name for name in seeds[0].targets if all(name in seed.made for seed in seeds)] if seeds else []

    def contributions(self, row: Row, images: list[str]) -> Float[np.ndarray, " n"]:
        """Contributions of some images to the distance of a row; empty for fewer than three images."""
        if len(images) < 3:
            return np.zeros(0)
        seeds = self.seeds[row.id]
        targets = np.stack([seeds[0].targets[name] for name in images])
        made = np.stack([np.stack([seed.made[name] for name in images]) for seed in seeds])
        return kernel_distance(targets, made, self.reference)


def _card(folder: Path) -> dict:
    try:
        card = json.loads(read_text(folder / "features.json"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) and (folder / "features.safetensors").is_file() else {}
