"""Reads pickled weights without running anything in them.

Python's own unpickler calls whatever a file names. This reader is a small machine for the same instructions whose stack
holds plain values only: it can call the functions of one table (``pickled_values.CALLS``), set no attribute, and build
no object of a class that the file chooses. Whatever else a file asks for ends the reading.
"""

import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zstar.pickled_values import CALLS, Refused, explain, fill, find

_LITERAL = re.compile(r"(SHORT_)?(BIN)?(INT|LONG|FLOAT|STRING|BYTES|UNICODE|BYTEARRAY)[1248]?")
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}


@dataclass(frozen=True)
class _Function:
    """A name that the file may call: a key of ``CALLS``, not the function."""

    key: str


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(values[::2], values[1::2], strict=True))


@dataclass
class _Machine:
    """The stack, the places of the marks in it, and the memo."""

    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def pop(self, count: int | None = None) -> list[Any]:
        """The last ``count`` values, or all since the last mark, in their order."""
        start = self.marks.pop() if count is None else len(self.stack) - count
        if start < 0:
            raise IndexError("the stack is too short")
        values, self.stack[start:] = self.stack[start:], []
        return values

    def step(self, op: str, arg: Any) -> None:
        """Carry out one instruction; ``arg`` is what follows it in the file."""
        push = self.stack.append
        match op:
            case _ if _LITERAL.fullmatch(op):
                push(arg)
            case _ if op in _CONSTANTS:
                push(_CONSTANTS[op]())
            case "GET" | "BINGET" | "LONG_BINGET":
                push(self.memo[arg])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[arg] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "MARK":
                self.marks.append(len(self.stack))
            case "DUP":
                push(self.stack[-1])
            case "POP":
                self.pop(1)
            case "POP_MARK":
                self.pop()
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple(self.pop(int(op[-1]))))
            case "TUPLE" | "LIST" | "FROZENSET":
                push({"TUPLE": tuple, "LIST": list, "FROZENSET": frozenset}[op](self.pop()))
            case "DICT":
                push(_pairs(self.pop()))
            case "APPEND" | "APPENDS" | "ADDITEMS" | "SETITEM" | "SETITEMS":
                self.extend(op, self.pop({"APPEND": 1, "SETITEM": 2}.get(op)))
            case "GLOBAL":
                push(_Function(find(*arg.split(" ", 1))))
            case "INST":
                find(*arg.split(" ", 1))
                raise Refused(f"it makes an object of {arg.replace(' ', '.')} in an outdated way")
            case "STACK_GLOBAL":
                module, name = self.pop(2)
                push(_Function(find(str(module), str(name))))
            case "REDUCE" | "NEWOBJ":
                function, arguments = self.pop(2)
                if not isinstance(function, _Function) or not isinstance(arguments, tuple):
                    raise Refused(f"it calls a {type(function).__name__}")
                push(CALLS[function.key](*arguments))
            case "BUILD":
                (state,) = self.pop(1)
                fill(self.stack[-1], state)
            case "PROTO" | "FRAME" | "STOP":
                pass
            case _:
                raise Refused(f"it uses the instruction {op}, which is not needed for weights")

    def extend(self, op: str, values: list[Any]) -> None:
        """Add values to the container on top of the stack, if it is one that this instruction is for."""
        target = self.stack[-1]
        if type(target) is list and op.startswith("APPEND"):
            target.extend(values)
        elif type(target) is set and op == "ADDITEMS":
            target.update(values)
        elif type(target) is dict and op.startswith("SETITEM"):
            target.update(_pairs(values))
        else:
            raise Refused(f"it adds items to a {type(target).__name__}")


def read_pickle(path: str | Path) -> Any:
    """The content of a pickle: plain containers, numbers, text, tensors, and a ``Record`` for each network.

    Raises:
        ValueError: The file is damaged, or it asks for something that is not in the table; nothing of it was run.
    """
    machine = _Machine()
    try:
        with Path(path).open("rb") as file:
            for op, arg, _ in pickletools.genops(file):
                machine.step(op.name, arg)
        (content,) = machine.stack
    except Exception as error:  # a damaged file can fail anywhere
        raise ValueError(f"checkpoint: {path} is not read, because {explain(error)}") from None
    return content
