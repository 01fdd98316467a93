"""The processes of one training: a common start and a common end."""

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from subprocess import Popen
from typing import NamedTuple

import pytorch_lightning as pl
from torch.distributed import TCPStore, all_gather_object

from zstar.config.messages import complain
from zstar.data.stream import Stream
from zstar.tasks.base import AbstractTask

LAUNCHED = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what Lightning sets for children
PATIENCE = 60.0  # seconds that the first process has to report a failure
GONE = "error: train.py: the first process was ended from outside; the same command goes on from the last checkpoint"


class Failure(NamedTuple):
    """The rank of the process that failed first, a message for people (empty if it has been printed), a traceback."""

    rank: int
    message: str
    trace: str


class Group(pl.Callback):
    """One process among those of a training; alone, it does nothing.

    The first process hands its state to the others, which read nothing in the run folder. When a process fails, all end
    within a second, with one sentence and a record of it. A process that waits for the others in a collective can't
    notice that one is gone, so a thread in each watches the store by which they have found each other, and the children
    that it has started: the first failure goes into the store, the first process reports it, and all end.

    Neither launcher does that. Lightning's looks every five seconds at its children and kills the first process with
    them, which then records nothing; the children do not notice the end of the first process at all. torchrun ends all
    too, but a process that waits in a collective records nothing before it is killed, and its table hides the sentence.

    Arguments:
        key: Hash of the configuration, the same in all processes.
        report: Called in the first process with the message and the traceback of another one, before all end.
    """

    def __init__(self, key: str, report: Callable[[str, str], None]) -> None:
        self.key, self.report, self.rank, self.count = key, report, 0, 1
        self.store: TCPStore | None = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, name="group", daemon=True)
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self.failed, self.reported = f"zstar/{attempt}/failed", f"zstar/{attempt}/reported"
        self.environment = {name: os.environ.get(name) for name in LAUNCHED}

    def begin(self, trainer: pl.Trainer, stream: Stream) -> None:
        """Watch from now on; to be called before ``trainer.fit``, which starts the other processes."""
        self.trainer, self.stream, self.rank, self.count = trainer, stream, trainer.global_rank, trainer.world_size
        if self.count > 1:
            self.thread.start()

    def setup(self, trainer: pl.Trainer, task: AbstractTask, stage: str) -> None:
        """Lightning's hook: begin with the state of the first process."""
        if self.count == 1:
            return
        address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        self.store = TCPStore(*address, is_master=False, timeout=timedelta(seconds=PATIENCE))
        key, state = trainer.strategy.broadcast((self.key, task.checkpoint()) if self.rank == 0 else None)
        if key != self.key:
            raise ValueError(f"train.py: process {self.rank} was started with another configuration than the first")
        if self.rank:
            task.restore(state)
            self.stream.first = task.done

    def on_train_end(self, trainer: pl.Trainer, task: AbstractTask) -> None:
        """Lightning's hook: put together which images could not be read; from here on no process waits for another."""
        if self.count > 1:
            parts: list[dict[str, str]] = [{}] * self.count
            all_gather_object(parts, self.stream.failed)
            for part in parts:
                self.stream.failed |= part
        self.over.set()

    def fail(self, error: Exception, output: str) -> None:
        """Note a failure of this process. Returns where the error is to be raised as usual, else ends the process."""
        if self.store is None or self.over.is_set():
            return
        if (sentence := complain(error, output)) is None:
            self.thread.join(3.0)  # perhaps only a consequence of another failure, which ends this process first
        trace = "".join(traceback.format_exception(error))
        first = self._agree(Failure(self.rank, trace if sentence is None else f"error: {sentence}", trace))
        if first is not None and first.rank == self.rank == 0:
            self.over.set()
        else:
            self.thread.join()  # it ends the process

    def end(self) -> None:
        """Let the others go, and leave nothing that would disturb a second training in this Python process."""
        if self.count == 1:
            return
        self.over.set()
        if self.rank == 0 and self.store is not None:
            self.store.set(self.reported, "1")
        for name, value in self.environment.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    def _agree(self, failure: Failure) -> Failure | None:
        """The first failure of the group: this one, unless another is in the store; None if the store is gone."""
        try:
            return Failure(*json.loads(self.store.compare_set(self.failed, "", json.dumps(failure))))
        except RuntimeError:
            return None

    def _watch(self) -> None:
        """The thread: end this process when the group has failed, for its main thread may wait for ever."""
        while not self.over.wait(0.25):
            try:
                failure = self._look()
            except RuntimeError:  # the store is gone, and so is the first process, which keeps it
                failure = Failure(0, GONE, GONE)
            if failure is not None and not self.over.is_set():
                self._exit(failure)

    def _look(self) -> Failure | None:
        """The failure that is in the store, or that of a child that has ended without a word there."""
        if self.store is not None and self.store.check([self.failed]):
            return Failure(*json.loads(self.store.get(self.failed)))
        codes = [child.poll() for child in self._children()]
        if (code := next(filter(None, codes), None)) is None:
            return None
        failure = Failure(self.rank, "", f"A process has ended with exit code {code}.")  # and has printed why
        if code < 0:
            reason = f"trainer: one of {self.count} processes was ended by signal {-code}, perhaps for lack of memory; "
            failure = Failure(self.rank, f"error: {reason}the same command goes on from the last checkpoint", reason)
        return failure if self.store is None else self._agree(failure)

    def _children(self) -> list[Popen]:
        return getattr(self.trainer.strategy.launcher, "procs", [])

    def _exit(self, failure: Failure) -> None:
        """Report the failure, if this is the first process, or wait until it has; then end this one."""
        if self.rank == 0:
            self.report(failure.message, failure.trace)
            if self.store is not None:
                self.store.set(self.reported, "1")
        elif failure.message is GONE:
            print(f"\n{GONE}" * (self.rank == 1), file=sys.stderr, flush=True)
        elif self.store is not None:
            self._wait_for_report()
        for child in self._children():
            child.kill()
        os._exit(2)

    def _wait_for_report(self) -> None:
        end = time.monotonic() + PATIENCE
        try:
            while time.monotonic() < end and not self.store.check([self.reported]):
                time.sleep(0.1)
        except RuntimeError:
            return
