"""The end of a program that comes from outside: an interrupt, a request to end, an output that nobody reads."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zstar.config.messages import complain
from zstar.config.paths import let_streams_replace

SIGNAL = 128  # a shell's exit code for a program that a signal has ended is this and the signal's number


class Terminated(KeyboardInterrupt):
    """SIGTERM, what ``kill`` and SLURM send: as an interrupt, so that all libraries take it for one."""


class Stopped(Exception):
    """An early end that is no failure: what is done is kept, and the same command goes on with it.

    Attributes:
        signal: The number of the signal that asked for it; ``None`` where something else did.
    """

    def __init__(self, message: str = "", signal: int | None = None) -> None:
        super().__init__(message)
        self.signal = signal

    @property
    def code(self) -> int:
        """The exit code of a program that ends so."""
        return 1 if self.signal is None else SIGNAL + self.signal


def failure_reason(error: BaseException, output: str) -> str:
    """Why a job that writes into ``output`` has failed or ended early, in one line."""
    if isinstance(error, Stopped):
        return str(error)
    if isinstance(error, Exception):
        return complain(error, output) or traceback.format_exception_only(error)[-1].strip()
    return "ended from outside"


@contextmanager
def handling(numbers: tuple[int, ...], handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Within the context, ``handler`` gets these signals; only the main thread can change that, and others do not."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)


@contextmanager
def ending_well() -> Iterator[None]:
    """The door of all programs: end in one sentence and with the usual exit code when interrupted or asked to end, and
    work on where nobody reads the output any more, as behind ``| head``, or where its encoding lacks a letter."""
    let_streams_replace()
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (Steady(stream) for stream in streams)
    try:
        with handling((signal.SIGTERM,), _terminate):
            yield
    except KeyboardInterrupt as error:
        number = signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
        print("\nended from outside; the same command goes on with what is done", file=sys.stderr)
        raise SystemExit(SIGNAL + number) from None
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = streams


def _terminate(_number: int, _frame: Any) -> None:
    raise Terminated


class Steady:
    """A stream that goes on in nothing when its reader is gone."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or do as if."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, or do as if."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except BrokenPipeError:  # what follows goes to nothing, and so does what is still in the buffer
            with Path(os.devnull).open("wb") as nothing:
                os.dup2(nothing.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
