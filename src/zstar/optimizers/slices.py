"""A batch evaluated slice by slice: the memory of a few images, the result of all of them."""

import gc
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from zstar.config.constraints import Within, require
from zstar.optimizers.graphs import Function, Graphs, Outputs, with_slopes

T = TypeVar("T")


class Slices:
    """How many images of a batch are evaluated at once, forward and, where a gradient is wanted, backward as well.

    Where memory runs out, the number is halved for good and the evaluation done again; that is said once. So whoever
    goes through several batches keeps one of these for all of them. Images do not depend on each other, so results are
    the same up to rounding.

    Arguments:
        size: Images at once; ``None`` for all of them, until memory runs out.
    """

    def __init__(self, size: int | None = None) -> None:
        require("micro_batch", Within(1), size=1 if size is None else size)
        self.size = size

    def run(self, function: Function, v: Mapping[str, Tensor], graphs: Graphs | None = None) -> Outputs:
        """``function`` of all rows of ``v``.

        Arguments:
            function: A slice of the batch and these rows of every tensor of ``v`` → named tensors with as many rows, of
                which ``total`` ``[n]``, one value per image, is the one that can be differentiated.
            v: Tensors whose first dimension is the batch.
            graphs: What records evaluations with a gradient and replays them, if anything.

        Raises:
            ValueError: Not even one image fits into memory.
        """
        count = len(next(iter(v.values())))
        return self.retried(count, lambda: self._run(function, v, count, graphs), graphs)

    def retried(self, count: int, work: Callable[[], T], graphs: Graphs | None = None) -> T:
        """What ``work`` of a batch of ``count`` returns, which is done again in smaller slices if memory runs out.

        What ``graphs`` have recorded until then is of no use any more and is forgotten.
        """
        while True:
            try:
                return work()
            except RuntimeError as error:
                if not ran_out(error):
                    raise
                reason = str(error)
            if graphs is not None:
                graphs.recorded.clear()
            self.halve(count, reason)  # behind the error, which holds what it had made until then

    def halve(self, count: int, reason: str) -> None:
        """Take half as many images at once from now on, as memory ran out with so many as until now."""
        size = min(self.size or count, count)
        if size == 1:
            raise ValueError(
                f"micro_batch: not even one image fits into memory ({reason.splitlines()[0]}); compare smaller "
                "pictures (loss.lpips.size=256), set checkpointing=true, choose fewer losses, or device=cpu"
            )
        self.size = size // 2
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        print(f"micro_batch: memory ran out with {size} images at once; going on with {self.size}", flush=True)

    def of(self, count: int) -> Iterator[slice]:
        """The slices of a batch of ``count``."""
        size = self.size or count
        return (slice(first, min(first + size, count)) for first in range(0, count, size))

    def _run(self, function: Function, v: Mapping[str, Tensor], count: int, graphs: Graphs | None) -> Outputs:
        free = [name for name, value in v.items() if value.requires_grad] if torch.is_grad_enabled() else []
        if (self.size is None or self.size >= count) and not (free and graphs):
            return function(slice(0, count), v)
        if not free:
            return joined([function(rows, {n: value[rows] for n, value in v.items()}) for rows in self.of(count)])
        names: list[str] = []
        slices, evaluate = list(self.of(count)), graphs or with_slopes
        found = Sliced.apply(slices, function, evaluate, v, free, names, *(v[name] for name in free))
        return dict(zip(names, found, strict=True))


class Sliced(torch.autograd.Function):
    """Outputs whose ``total`` has its gradient already: each slice is forgotten before the next one is made."""

    @staticmethod
    def forward(
        ctx: Any,
        slices: list[slice],
        function: Function,
        evaluate: Callable[[Function, slice, Mapping[str, Tensor], list[str]], tuple[Outputs, list[Tensor]]],
        v: Mapping[str, Tensor],
        free: list[str],
        names: list[str],
        *leaves: Tensor,
    ) -> tuple[Tensor, ...]:
        parts, slopes = [], []
        for rows in slices:
            made, slope = evaluate(function, rows, {name: value[rows] for name, value in v.items()}, free)
            parts.append(made)
            slopes.append(slope)
        outputs = joined(parts)
        names.extend(outputs)
        ctx.save_for_backward(*(torch.cat(slope) for slope in zip(*slopes, strict=True)))
        ctx.place = names.index("total")
        ctx.mark_non_differentiable(*(value for name, value in outputs.items() if name != "total"))
        return tuple(outputs.values())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        factor = grads[ctx.place]
        scaled = (slope * factor.view(-1, *[1] * (slope.dim() - 1)) for slope in ctx.saved_tensors)
        return None, None, None, None, None, None, *scaled


def joined(parts: list[Outputs]) -> Outputs:
    """The outputs of slices as those of the batch."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def ran_out(error: RuntimeError) -> bool:
    """Whether an error says that there is no memory left, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
