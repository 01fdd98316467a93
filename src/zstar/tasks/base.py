"""The protocol of trainings: their steps, their parts, and what a checkpoint holds."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim import Optimizer

from zstar.config.constraints import Within, require
from zstar.data.base import AbstractData
from zstar.stats.streams import stream
from zstar.tasks.pool import Share

Part = nn.Module | Optimizer


class AbstractTask(pl.LightningModule, ABC):
    """A training by steps; step ``s`` depends on the parts, ``s`` and the seed, and on nothing else.

    Attributes:
        done: Steps finished.
        parts: Networks and optimizers by name: all that a checkpoint holds besides ``done``. A frozen network is no
            part.
        objects: The objects that a data set may ask for by name when it is built.
        groups: The groups of the configuration that the task takes its parts from in any case.
        kind: What it exports, as its cards say.
    """

    groups: ClassVar[tuple[str, ...]]
    kind: ClassVar[str]
    automatic_optimization = False

    def __init__(self, steps: int, batch: int, seed: int, log_every: int = 50) -> None:
        super().__init__()
        require("task", Within(1), steps=steps, batch=batch, log_every=log_every)
        self.steps, self.batch, self.seed, self.log_every = steps, batch, seed, log_every
        self.done = 0
        self.parts: dict[str, Part] = {}
        self.objects: dict[str, Any] = {}
        self._sums: dict[str, tuple[Tensor, int]] = {}

    @classmethod
    @abstractmethod
    def compose(cls, cfg: DictConfig) -> "AbstractTask":
        """Build the task and the networks it trains from a composed configuration of ``train.py``."""

    @classmethod
    def needs(cls, cfg: DictConfig) -> tuple[str, ...]:
        """All groups that it takes its parts from with this configuration."""
        return cls.groups

    @abstractmethod
    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One training step on ``images`` and extras; returns the scalars to log."""

    @abstractmethod
    def evaluate(self, data: AbstractData) -> dict[str, float]:
        """Scores on held-out images."""

    @abstractmethod
    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights to keep, and the plain facts that rebuild the network around them."""

    @abstractmethod
    def adopt(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        """Begin with weights of its :attr:`kind` that some training has exported; an error where they do not fit."""

    def finish(self, data: AbstractData) -> None:  # noqa: B027
        """After the last step: what is measured of the images to train on, once, to be exported with the weights."""

    def forget(self) -> None:
        """Leave behind what was measured under the settings of the training that this one goes on from."""
        self._sums = {}

    def attached(self) -> dict[str, tuple[dict[str, Tensor], dict[str, Any]]]:
        """Further files to write beside the weights: name → tensors and card."""
        return {}

    @abstractmethod
    def pictures(self, data: AbstractData | None) -> Tensor | None:
        """Images in [−1, 1] that show how far the training is, always the same ones, in rows of eight; or ``None``.

        ``data`` are the held-out images, where there are any.
        """

    @property
    def rows(self) -> slice:
        """The images of a step's batch that are this process's, where several share the work."""
        rank, count = self._place
        return slice(rank, None, count)

    @property
    def share(self) -> Share:
        """This process's part of a step's batch, and how to get the whole of it."""
        return Share(self.batch, self.rows, self._gather)

    def _gather(self, part: Tensor) -> Tensor:
        """The whole of a tensor whose rows are shared by the processes, in the order of the batch."""
        if self._place[1] == 1:
            return part
        return self.all_gather(part).transpose(0, 1).flatten(0, 1)

    @property
    def rng(self) -> torch.Generator:
        """The random numbers of this step that no other process needs; each process has its own."""
        return stream("training step", self.seed, self._place[0], index=self.done, device=self.device)

    @property
    def _place(self) -> tuple[int, int]:
        """The number of this process, and how many there are."""
        return (0, 1) if self._trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def training_step(self, batch: dict[str, Tensor], _index: int) -> None:
        """Lightning's hook: one step, its scalars averaged between two log entries without a synchronisation."""
        for name, value in self.update(batch).items():
            total, count = self._sums.get(name, (torch.zeros_like(value), 0))
            self._sums[name] = (total.to(value.device) + value.detach(), count + 1)
        self.done += 1
        if self.done % self.log_every == 0:
            means = {name: total / count for name, (total, count) in self._sums.items()}
            values = self.trainer.strategy.reduce(torch.stack(list(means.values())).float(), reduce_op="mean")
            if self.logger is not None:
                self.logger.log_metrics(dict(zip(means, values.tolist(), strict=True)), step=self.done)
            self._sums = {}

    def configure_optimizers(self) -> list[Optimizer]:
        """Lightning's hook: the optimizers among the parts."""
        return [part for part in self.parts.values() if isinstance(part, Optimizer)]

    def checkpoint(self) -> dict[str, Any]:
        """Everything needed to go on from here, in plain containers."""
        sums = {name: [total.cpu(), count] for name, (total, count) in self._sums.items()}
        return {"done": self.done, "parts": {n: part.state_dict() for n, part in self.parts.items()}, "sums": sums}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint of the same configuration."""
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        self.done = state["done"]
        self._sums = {name: (total, count) for name, (total, count) in state.get("sums", {}).items()}
