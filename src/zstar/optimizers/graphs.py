"""CUDA graphs of the equation: its kernels are recorded once and then launched together."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

from zstar.optimizers.base import value_and_gradient

Outputs = dict[str, Tensor]
Function = Callable[[slice, Mapping[str, Tensor]], Outputs]
WARM_UP = 3  # evaluations before the recording, in which libraries choose their kernels


def with_slopes(
    function: Function, rows: slice, v: Mapping[str, Tensor], free: list[str]
) -> tuple[Outputs, list[Tensor]]:
    """The outputs of ``function`` for these rows, without their graph, and the gradients of the sum of ``total``."""
    fixed = {name: value.detach() for name, value in v.items() if name not in free}
    made: Outputs = {}

    def total(leaves: dict[str, Tensor]) -> Tensor:
        made.update(function(rows, fixed | leaves))
        return made["total"]

    _, slopes = value_and_gradient(total, {name: v[name] for name in free})
    return {name: value.detach() for name, value in made.items()}, list(slopes.values())


class Graphs:
    """:func:`with_slopes`, recorded at the first evaluation of its kind and replayed at all others.

    A step at 256 pixels is some hundred kernels, most of which take a GPU less time than a CPU takes to launch them.
    What is recorded must be the same work each time: no number of the GPU may be looked at, and nothing drawn.
    """

    def __init__(self) -> None:
        self.recorded: dict[Hashable, Recorded] = {}

    def __call__(
        self, function: Function, rows: slice, v: Mapping[str, Tensor], free: list[str]
    ) -> tuple[Outputs, list[Tensor]]:
        shapes = tuple((name, tuple(value.shape), value.dtype) for name, value in v.items())
        key = function, rows.start, rows.stop, shapes, tuple(free)
        if key not in self.recorded:
            self.recorded[key] = Recorded(function, rows, v, free)
        return self.recorded[key](v)


class Recorded:
    """One evaluation whose inputs and outputs have their fixed places in memory."""

    outputs: Outputs
    slopes: list[Tensor]

    def __init__(self, function: Function, rows: slice, v: Mapping[str, Tensor], free: list[str]) -> None:
        self.inputs = {name: value.detach().clone() for name, value in v.items()}

        def work() -> None:
            self.outputs, self.slopes = with_slopes(function, rows, self.inputs, free)

        self.replay = record_cuda(work)

    def __call__(self, v: Mapping[str, Tensor]) -> tuple[Outputs, list[Tensor]]:
        torch._foreach_copy_(list(self.inputs.values()), [v[name].detach() for name in self.inputs])
        self.replay()
        copies = torch._foreach_mul([*self.outputs.values(), *self.slopes], 1)  # the next replay writes over them
        count = len(self.outputs)
        return dict(zip(self.outputs, copies[:count], strict=True)), list(copies[count:])


def record_cuda(work: Callable[[], None]) -> Callable[[], Any]:
    """Do some work on a stream of its own until nothing is new to it, then record it as a CUDA graph."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.StreamContext(aside):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            work()
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"compile: graph can't record this equation ({reason}); a loss or regularizer of your own may look at a "
            "number of the GPU. Set compile=null"
        ) from error
    return graph.replay
