"""How the processes of one training begin with the same and end together."""

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from subprocess import Popen

import pytorch_lightning as pl
from torch.distributed import TCPStore, all_gather_object

from zstar.config.messages import complain
from zstar.data.stream import Stream
from zstar.tasks.base import AbstractTask

LAUNCHED = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what Lightning sets for children
PATIENCE = 60.0  # seconds that the first process has for its last words
GONE = "error: train.py: the first process was ended from outside; the same command goes on from the last checkpoint"


class Together(pl.Callback):
    """Begins a training of several processes with the same state in each, and ends all of them when one fails.

    What the first process has found in the run folder is handed to the others, which read nothing there. A process
    that waits for the others can't notice that one of them is gone, so a thread in each watches the store by which
    they have found each other: who fails first puts there why, the first process says it, and all end. With one process
    it does nothing.

    Arguments:
        key: Hash of the configuration, the same in all processes.
        report: What the first process does with a message and a traceback of another one, before all end.
    """

    def __init__(self, key: str, report: Callable[[str, str], None]) -> None:
        self.key, self.report, self.rank, self.count = key, report, 0, 1
        self.store: TCPStore | None = None
        self.over = threading.Event()
        self.watch = threading.Thread(target=self._watch, name="together", daemon=True)
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self.failed, self.reported = f"zstar/{attempt}/failed", f"zstar/{attempt}/reported"
        self.environment = {name: os.environ.get(name) for name in LAUNCHED}

    def begin(self, trainer: pl.Trainer, stream: Stream) -> None:
        """Watch from now on; to be called before ``trainer.fit``, which starts the other processes."""
        self.trainer, self.stream, self.rank, self.count = trainer, stream, trainer.global_rank, trainer.world_size
        if self.count > 1:
            self.watch.start()

    def setup(self, trainer: pl.Trainer, task: AbstractTask, stage: str) -> None:
        """Hand round what the first process begins with."""
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
        """Put together which images could not be read; from here on nobody waits for anybody."""
        if self.count > 1:
            parts: list[dict[str, str]] = [{}] * self.count
            all_gather_object(parts, self.stream.failed)
            for part in parts:
                self.stream.failed |= part
        self.over.set()

    def fail(self, error: Exception, output: str) -> None:
        """Say that this process has failed. Returns where it is to speak for itself, else ends it."""
        if self.store is None or self.over.is_set():
            return
        if (said := complain(error, output)) is None:
            self.watch.join(3.0)  # perhaps this is only a consequence; time to hear of the cause
        trace = "".join(traceback.format_exception(error))
        if self._claim(trace if said is None else f"error: {said}", trace) and self.rank == 0:
            self.over.set()
        else:
            self.watch.join()

    def _claim(self, said: str, trace: str) -> bool:
        """Whether nobody else has said before that the training has failed."""
        try:
            text = json.dumps([self.rank, said, trace])
            return json.loads(self.store.compare_set(self.failed, "", text))[0] == self.rank
        except RuntimeError:
            return False

    def end(self) -> None:
        """Let the others go, and leave nothing that a second training in this Python process would stumble over."""
        if self.count == 1:
            return
        self.over.set()
        if self.rank == 0 and self.store is not None:
            self.store.set(self.reported, "1")
        for name, value in self.environment.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    def _watch(self) -> None:
        while not self.over.wait(0.25):
            try:
                if self.store is not None and self.store.check([self.failed]):
                    self._stop(*json.loads(self.store.get(self.failed))[1:])
                for child in self._children():
                    if child.poll():
                        self._child_has_ended(child.returncode)
            except RuntimeError:  # the store is gone, and so is the first process, which keeps it
                self._stop(GONE, GONE)

    def _children(self) -> list[Popen]:
        return getattr(self.trainer.strategy.launcher, "procs", [])

    def _child_has_ended(self, code: int) -> None:
        """A process that this one has started has ended without a word in the store."""
        said = f"trainer: one of {self.count} processes was ended by signal {-code}, perhaps for lack of memory; "
        words = f"error: {said}the same command goes on from the last checkpoint", said
        if code > 0:  # it came to the end of the program, and has said why
            words = "", f"A process has ended with exit code {code}."
        if self.store is not None and not self.store.check([self.failed]):
            self._claim(*words)
        if self.rank == 0 and self.store is None:
            self._stop(*words)

    def _stop(self, said: str, trace: str) -> None:
        """End this process from its watching thread, for its main thread may wait for what never comes."""
        if self.over.is_set():
            return
        if self.rank == 0:
            self.report(said, trace)
            if self.store is not None:
                self.store.set(self.reported, "1")
        elif said is GONE:
            print(f"\n{GONE}" * (self.rank == 1), file=sys.stderr, flush=True)
        else:
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
