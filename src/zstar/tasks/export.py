"""The files that a training writes: weights, and cards with its configuration and scores."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from zstar.checkpoints.io import save_weights
from zstar.runs.folder import commit, machine, versions
from zstar.tasks.base import AbstractTask


@dataclass(frozen=True)
class Exporter:
    """Writes ``weights.safetensors`` with its card, and the other files that a task keeps.

    Attributes:
        task: The training.
        folder: Its run folder.
        config: Its configuration as plain containers.
        data: Fingerprint of its data.
        seconds: Training time so far.
        waiting: The share of it that was spent waiting for images.
    """

    task: AbstractTask
    folder: Path
    config: Mapping[str, Any]
    data: str
    seconds: Callable[[], float]
    waiting: Callable[[], float]

    def __call__(self, scores: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Write the weights as they are now; returns the card.

        Raises:
            ValueError: They are no numbers any more.
        """
        run = self._facts() | {"waiting": self.waiting(), "scores": dict(scores or {})}
        tensors, card = self.task.export()
        if lost := [name for name, value in tensors.items() if not value.isfinite().all()]:
            which = (
                f"{len(lost)} of {len(tensors)} tensors of weights, such as {lost[0]}, hold numbers that are not finite"
            )
            raise ValueError(f"task: after {self.task.done} steps {which}; lower the learning rate")
        save_weights(self.folder / "weights.safetensors", tensors, card | run)
        for name, (others, facts) in self.task.attached().items():
            save_weights(self.folder / f"{name}.safetensors", others, facts | run)
        return card | run

    def _facts(self) -> dict[str, Any]:
        return {
            "command": shlex.join(["python", "train.py", *sys.argv[1:]]),
            "config": dict(self.config),
            "data": self.data,
            "steps": self.task.done,
            "images": self.task.done * self.task.batch,
            "seconds": round(self.seconds()),
            "date": datetime.now(timezone.utc).date().isoformat(),
            "machine": machine(self.task.trainer.strategy.root_device),
            "versions": versions() | commit(),
        }
