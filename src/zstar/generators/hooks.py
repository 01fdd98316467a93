"""Outputs of layers, replaced on their way."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn


@contextmanager
def hooked(edits: Mapping[nn.Module, Callable[[Tensor], Tensor]], first: bool) -> Iterator[None]:
    """Within the context, the output of each module is replaced by ``edit(output)``.

    Arguments:
        edits: Module → edit.
        first: Whether these edits come before those that are there already, or after them.
    """
    with ExitStack() as hooks:
        for layer, edit in edits.items():
            handle = layer.register_forward_hook(lambda _m, _i, out, edit=edit: edit(out), prepend=first)
            hooks.callback(handle.remove)
        yield
