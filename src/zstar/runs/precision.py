"""Arithmetic of a run: IEEE single precision, TensorFloat-32, or bfloat16 within networks.

What torch keeps for the whole process is set within a context and restored behind it, so that runs of several
precisions follow one another in one process. Torch's older switches are the ones used: its newer ones,
``fp32_precision``, leave the older unreadable, by which parts of torch itself decide.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Literal

Precision = Literal["exact", "tf32", "bf16"]
CHOSEN: ContextVar[str | None] = ContextVar("precision", default=None)  # of the run in this thread, if there is one
DEVICES = ("cpu", "cuda")


def fix_workspace() -> None:
    """Let cuBLAS add up in one order; of no effect once torch has used a GPU, and a choice of the user's own stays."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def computing(precision: Precision) -> Iterator[None]:
    """Within the context, torch computes with ``precision``; afterwards, also after an error, as before.

    Convolutions and matrix products of float32 are those of IEEE, or of TensorFloat-32 with ``tf32``, and cuDNN takes
    deterministic algorithms, the same at each call. With ``bf16``, what is within :func:`networks` computes in
    bfloat16; nothing else does, also where the caller has autocast on.
    """
    import torch  # takes seconds, and the door has to answer at once

    fix_workspace()
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    wanted = [(cudnn, "deterministic", True), (cudnn, "benchmark", False)]
    wanted += [(switches, "allow_tf32", precision == "tf32") for switches in (cudnn, products)]
    before, token = [(switches, name, getattr(switches, name)) for switches, name, _ in wanted], CHOSEN.set(precision)
    try:
        _set(wanted)
        with ExitStack() as stack:
            for device in DEVICES:
                stack.enter_context(torch.autocast(device, enabled=False))
            yield
    finally:
        _set(before)
        CHOSEN.reset(token)


@contextmanager
def exactly() -> Iterator[None]:
    """Within the context, which decorates functions too, a run of any precision computes as one of ``exact``: what is
    known, drawn or measured is the same in all of them.

    A thread that reads images for the run of another one leaves the switches, which are the whole process's, alone.
    """
    apart = CHOSEN.get() is None and threading.current_thread() is not threading.main_thread()
    with nullcontext() if apart else computing("exact"):
        yield


def networks(device: str) -> AbstractContextManager[Any]:
    """A context for a network on a kind of device, ``"cpu"`` or ``"cuda"``: autocast to bfloat16 in a run of ``bf16``,
    whose outputs the caller brings back to float32; else nothing, which leaves a training its own autocast."""
    import torch

    if CHOSEN.get() != "bf16":
        return nullcontext()
    # Casts of v are not kept: within the contexts of a run they would be until its end, and each step has a new v.
    return torch.autocast(device, dtype=torch.bfloat16, cache_enabled=False)


def single(value: Any) -> Any:
    """A tensor that a network made, in float32 in a run of ``bf16``, else as it is."""
    return value.float() if CHOSEN.get() == "bf16" else value


def _set(switches: list[tuple[Any, str, bool]]) -> None:
    for owner, name, value in switches:
        if getattr(owner, name) != value:
            setattr(owner, name, value)
