"""An early end of a training: after the step at work, with a checkpoint from which the same command goes on."""

import signal
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytorch_lightning as pl

from zstar.runs.ending import Stopped, handling
from zstar.tasks.base import AbstractTask

SIGNALS = (signal.SIGTERM, signal.SIGINT)
USUAL = {  # of what ends a training early, as it ends none
    "fast_dev_run": False, "limit_train_batches": 1.0, "max_epochs": 1, "max_steps": -1, "max_time": None,
    "overfit_batches": 0.0,
}  # fmt: skip


class Interruption(pl.Callback):
    """Ends the training after the step at work on SIGTERM or Ctrl-C, for half a step is no state to go on from; a
    second one ends it at once.

    Several processes look every ``log_every`` steps, together, whether one of them was asked to end.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.handlers = ExitStack()

    def on_train_start(self, trainer: pl.Trainer, task: AbstractTask) -> None:
        """Listen, in place of Lightning, which would end with the exit code of success and without a checkpoint."""
        self.handlers.enter_context(handling(SIGNALS, self._note))

    def on_train_batch_end(self, trainer: pl.Trainer, task: AbstractTask, *_: Any) -> None:
        """End here if that was asked for."""
        asked = self.signal is not None
        if trainer.world_size > 1:
            due = task.done % task.log_every == 0
            asked = due and trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            self.signal = self.signal or signal.SIGTERM
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, task: AbstractTask) -> None:
        """Listen no longer."""
        self.handlers.close()

    def on_exception(self, trainer: pl.Trainer, task: AbstractTask, exception: BaseException) -> None:
        """Listen no longer."""
        self.handlers.close()

    def _note(self, number: int, _frame: Any) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number

    def require_end(self, task: AbstractTask, trainer: Mapping[str, Any]) -> None:
        """Raise ``Stopped`` unless all steps are done, with the reason: a signal, or a setting of ``trainer``."""
        if task.done >= task.steps:
            return
        done = f"{task.done} of {task.steps} steps are done and kept"
        if self.signal is not None:
            raise Stopped(f"ended by {signal.Signals(self.signal).name}: {done}; the same command goes on", self.signal)
        keys = [f"trainer.{key}" for key, usual in USUAL.items() if trainer.get(key) not in (None, usual)]
        cause = " and ".join(keys) or "Lightning"
        raise Stopped(f"{cause} ended the training: {done}; the same command without it goes on")
