"""A reader of pickled weights that runs nothing in them.

Python's own unpickler calls whatever a file names. This reader is a small machine for the same instructions whose stack
holds plain values only: it can call the functions of one table (``pickle_values.CALLS``), set no attribute, and build
no object of a class that the file chooses. Whatever else a file asks for ends the reading.

Files of ``torch.save`` are read by torch, whose own restricted reader can be made to run for ever: by hashing or
printing a tuple of twice the same tuple of twice the same tuple … The same machine walks through them first.
"""

import pickletools
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from io import SEEK_CUR, BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any

from zstar.checkpoints.pickle_values import (
    CALLS,
    Refused,
    as_dict,
    as_set,
    explain,
    fill,
    find,
    full_name,
    keys,
)

_LITERAL = re.compile(r"(SHORT_)?(BIN)?(INT|LONG|FLOAT|STRING|BYTES|UNICODE|BYTEARRAY)[1248]?")
_LITERALS = frozenset(op.name for op in pickletools.opcodes if _LITERAL.fullmatch(op.name))
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
    """A name that the file may call: a key of a table, not the function."""

    key: str


WEIGHT = 2**20  # of the largest tuple: its length, and twice the weights of the tuples in it
PICKLES = 5  # in a legacy file of torch.save: magic number, version, system, content, and the keys of the storages


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(keys(values[::2]), values[1::2], strict=True))


def _call(key: str, arguments: tuple[Any, ...]) -> Any:
    if key == "torch.storage._load_from_bytes" and arguments and isinstance(arguments[0], bytes):
        _walk_legacy(BytesIO(arguments[0]))
    return CALLS[key](*arguments)


def _pretend(key: str, arguments: tuple[Any, ...]) -> Any:
    """The result of a call while torch's files are only walked through: a container to add items to."""
    calls = {"builtins.set": as_set, "collections.OrderedDict": as_dict, "collections.Counter": as_dict}
    return calls.get(key, lambda *_: {})(*arguments)


@dataclass
class _Machine:
    """The stack, the places of the marks in it, the memo, and the tuples that hold tuples.

    ``find`` makes a key of a module and a name, ``call`` a value of such a key and arguments. ``persistent`` says
    whether values may lie outside of the pickle, as torch's numbers do.
    """

    find: Callable[[Any, Any], str]
    call: Callable[[str, tuple[Any, ...]], Any]
    persistent: bool = False
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    nested: dict[int, tuple[tuple[Any, ...], int]] = field(default_factory=dict)

    def pop(self, count: int | None = None) -> list[Any]:
        """The last ``count`` values, or all since the last mark, in their order."""
        start = self.marks.pop() if count is None else len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise IndexError("the stack is too short")
        values, self.stack[start:] = self.stack[start:], []
        return values

    def bundle(self, values: list[Any]) -> tuple[Any, ...]:
        """A tuple, if neither its depth nor what it comes to when tuples that it repeats are written out is absurd."""
        inner = [self.nested[id(v)][1] if id(v) in self.nested else 1 + len(v) for v in values if type(v) is tuple]
        weight, bundle = 1 + len(values) + 2 * sum(inner), tuple(values)
        if weight > WEIGHT:
            raise Refused("it nests tuples too deeply")
        if inner:
            self.nested[id(bundle)] = bundle, weight  # kept alive, so that no other tuple gets its id
        return bundle

    def step(self, op: str, arg: Any) -> None:
        """Carry out one instruction; ``arg`` is what follows it in the file."""
        push = self.stack.append
        match op:
            case _ if op in _LITERALS:
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
                push(self.bundle(self.pop(int(op[-1]))))
            case "TUPLE":
                push(self.bundle(self.pop()))
            case "LIST":
                push(self.pop())
            case "FROZENSET":
                push(frozenset(keys(self.pop())))
            case "DICT":
                push(_pairs(self.pop()))
            case "APPEND" | "APPENDS" | "ADDITEMS" | "SETITEM" | "SETITEMS":
                self.extend(op, self.pop({"APPEND": 1, "SETITEM": 2}.get(op)))
            case "GLOBAL":
                push(_Function(self.find(*arg.split(" ", 1))))
            case "INST":
                self.find(*arg.split(" ", 1))
                raise Refused(f"it makes an object of {arg.replace(' ', '.')} in an outdated way")
            case "STACK_GLOBAL":
                module, name = self.pop(2)
                push(_Function(self.find(module, name)))
            case "BINPERSID" if self.persistent:
                (place,) = self.pop(1)
                if not isinstance(place, tuple) or any(isinstance(part, tuple | list | dict) for part in place[:5]):
                    raise Refused("it says in an unknown way where a tensor's numbers are")
                push({})
            case "REDUCE" | "NEWOBJ":
                function, arguments = self.pop(2)
                if not isinstance(function, _Function) or not isinstance(arguments, tuple):
                    raise Refused(f"it calls a {type(function).__name__}")
                push(self.call(function.key, arguments))
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
            target.update(keys(values))
        elif type(target) is dict and op.startswith("SETITEM"):
            target.update(_pairs(values))
        else:
            raise Refused(f"it adds items to a {type(target).__name__}")


def _run(machine: _Machine, file: BufferedIOBase) -> Any:
    """The content of the next pickle in a file."""
    for op, arg, _ in pickletools.genops(file):
        machine.step(op.name, arg)
    (content,) = machine.stack
    return content


def read_pickle(path: str | Path) -> Any:
    """The content of a pickle: plain containers, numbers, text, tensors, and a ``PickledObject`` for each network.

    Raises:
        ValueError: The file is damaged, or it asks for something that is not in the table; nothing of it was run.
    """
    try:
        with Path(path).open("rb") as file:
            return _run(_Machine(find, _call), file)
    except Exception as error:  # a damaged file can fail anywhere
        raise ValueError(f"checkpoint: {path} is not read, because {explain(error)}") from None


def _walk_legacy(file: BufferedIOBase) -> None:
    for _ in range(PICKLES):
        if not file.read(1):
            return
        file.seek(-1, SEEK_CUR)
        _run(_Machine(full_name, _pretend, persistent=True), file)


def zipped(head: bytes) -> bool:
    """Whether torch takes a file that begins with these bytes for its newer, zipped format."""
    return head.startswith(b"PK\x03\x04")


def walk_torch(path: Path) -> None:
    """Go through the pickles in a file of ``torch.save`` without making anything of them.

    Raises:
        Refused: Torch would read them for ever, or overflow its stack.
        Exception: The file is damaged.
    """
    with path.open("rb") as file:
        if not zipped(file.read(4)):  # by the same sign as torch: a file could look like both
            file.seek(0)
            return _walk_legacy(file)
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.lower().endswith(".pkl"):
                if entry.file_size > path.stat().st_size:
                    raise Refused("it holds a compressed pickle")
                _run(_Machine(full_name, _pretend, persistent=True), BytesIO(archive.read(entry)))
