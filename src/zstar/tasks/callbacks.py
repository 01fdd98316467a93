"""Callbacks of a training: progress, checkpoints, held-out scores, pictures, snapshots."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from zstar.data.base import AbstractData
from zstar.reports import progress
from zstar.runs.folder import write_atomic
from zstar.runs.precision import exactly
from zstar.tasks.base import AbstractTask


class Progress(pl.Callback):
    """The steps with rate and time left, counted from where this process began."""

    def __init__(self) -> None:
        self.open = ExitStack()

    def on_train_start(self, trainer: pl.Trainer, task: AbstractTask) -> None:
        """Begin at the step that the checkpoint had reached."""
        self.progress = self.open.enter_context(progress.Progress(task.steps, "steps", "training", task.done))

    def on_train_batch_end(self, trainer: pl.Trainer, task: AbstractTask, *_: Any) -> None:
        """One step further."""
        self.progress.update(task.done, mark=task.done == task.steps)

    def on_train_end(self, trainer: pl.Trainer, task: AbstractTask) -> None:
        """Leave it as it stands."""
        self.open.close()

    def on_exception(self, trainer: pl.Trainer, task: AbstractTask, exception: BaseException) -> None:
        """Leave it as it stands, so that the next message has a line of its own."""
        self.open.close()


class WaitingTime(pl.Callback):
    """Measures which share of the time the training waits for its images; to be the last of the callbacks."""

    def __init__(self) -> None:
        self.waited = self.worked = 0.0
        self.left = self.came = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, task: AbstractTask) -> None:
        """Begin to wait."""
        self.left = time.monotonic()

    def on_train_batch_start(self, trainer: pl.Trainer, task: AbstractTask, *_: Any) -> None:
        """The images are there."""
        self.came = time.monotonic()
        self.waited += self.came - self.left

    def on_train_batch_end(self, trainer: pl.Trainer, task: AbstractTask, *_: Any) -> None:
        """Wait for the next ones."""
        self.left = time.monotonic()
        self.worked += self.left - self.came

    def share(self) -> float:
        """Waiting time over all time, of this process."""
        return round(self.waited / max(self.waited + self.worked, 1e-9), 4)


class Checkpoints(pl.Callback):
    """Writes ``checkpoint.pt`` every ``minutes`` and at the end, so that a killed training goes on from there.

    The file holds plain containers and tensors only and is read with ``weights_only=True``.
    """

    def __init__(self, path: Path, facts: dict[str, Any], minutes: float, seconds_before: float = 0.0) -> None:
        self.path, self.facts, self.minutes, self.seconds_before = path, facts, minutes, seconds_before
        self.started = self.saved = time.monotonic()

    def seconds(self) -> float:
        """Training time so far, that of earlier processes included."""
        return self.seconds_before + time.monotonic() - self.started

    def save(self, task: AbstractTask) -> None:
        """Write the checkpoint now."""
        state = task.checkpoint() | {"seconds": self.seconds(), **self.facts}
        write_atomic(self.path, lambda path: torch.save(state, path))
        self.saved = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, task: AbstractTask, *_: Any) -> None:
        """Save when it is time."""
        if time.monotonic() - self.saved > 60 * self.minutes:
            self.save(task)

    def on_train_end(self, trainer: pl.Trainer, task: AbstractTask) -> None:
        """Save the end."""
        self.save(task)


class Finish(pl.Callback):
    """At the end, before anything looks at what was trained, the task measures what belongs to it."""

    def __init__(self, data: AbstractData) -> None:
        self.data = data

    def on_train_end(self, _trainer: pl.Trainer, task: AbstractTask) -> None:
        """Measure, unless the training was ended before its end."""
        if task.done >= task.steps:
            task.finish(self.data)


class Samples(pl.Callback):
    """Every ``every`` steps, and at the end, the same few pictures to the folder ``samples`` and to the logger."""

    def __init__(self, folder: Path, every: int, data: AbstractData | None = None) -> None:
        self.folder, self.every, self.data = folder, every, data

    def on_train_batch_end(self, trainer: pl.Trainer, task: AbstractTask, *_: Any) -> None:
        """Draw, write, log, when it is time and not the end."""
        if self.every and task.done % self.every == 0 and task.done < task.steps:
            self.draw(trainer, task)

    def on_train_end(self, trainer: pl.Trainer, task: AbstractTask) -> None:
        """The end, unless it has just been drawn."""
        if self.every and not self.path(task).exists():
            self.draw(trainer, task)

    def path(self, task: AbstractTask) -> Path:
        """The file for the pictures of this step."""
        return self.folder / f"{task.done:07d}.png"

    def draw(self, trainer: pl.Trainer, task: AbstractTask) -> None:
        """Draw, write, log."""
        images = task.pictures(self.data)
        if images is None:
            return
        from torchvision.utils import save_image  # takes seconds to import

        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(task)
        save_image(images.clamp(-1, 1), path, nrow=8, normalize=True, value_range=(-1, 1))
        if hasattr(trainer.logger, "log_image"):
            trainer.logger.log_image("samples", [str(path)], step=task.done)


class Scores(pl.Callback):
    """Every ``every`` steps, the task's own scores on held-out images to the logger; at the end, kept in ``final``."""

    def __init__(self, data: AbstractData | None, every: int) -> None:
        self.data, self.every = data, every
        self.final: dict[str, float] = {}
        self.scored = -1  # the step that ``final`` is of

    def score(self, task: AbstractTask) -> None:
        """Evaluate, unless it is done for this step."""
        if self.data and self.scored != task.done:
            with exactly():  # whatever the trainer computes with
                self.final, self.scored = task.evaluate(self.data), task.done

    def on_train_batch_end(self, trainer: pl.Trainer, task: AbstractTask, *_: Any) -> None:
        """Evaluate and log."""
        if self.data and self.every and task.done % self.every == 0:
            self.score(task)
            if trainer.logger is not None:  # a task may keep its best by these, whether they are logged or not
                scores = {f"validation/{name}": value for name, value in self.final.items()}
                trainer.logger.log_metrics(scores, step=task.done)

    def on_train_end(self, trainer: pl.Trainer, task: AbstractTask) -> None:
        """Evaluate while everything is still where it was trained; not a training that ends early."""
        if task.done >= task.steps:
            self.score(task)


class Snapshots(pl.Callback):
    """Every ``every`` steps, the weights as they would be exported, for whoever can use a half-trained network."""

    def __init__(self, write: Callable[[], None], every: int) -> None:
        self.write, self.every = write, every

    def on_train_batch_end(self, trainer: pl.Trainer, task: AbstractTask, *_: Any) -> None:
        """Export."""
        if self.every and task.done % self.every == 0:
            self.write()
