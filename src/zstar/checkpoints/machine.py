"""A machine for the instructions of pickles whose stack holds plain values only.

It can call the functions of one table, set no attribute, and build no object of a class that the file chooses. What it
makes is no larger than what the file has room for.
"""

import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BufferedIOBase
from math import inf
from typing import Any

from zstar.checkpoints.pickle_values import MODULE, NumpyArray, Refused, fill, keys, nbytes

LITERAL = re.compile(r"(SHORT_)?(BIN)?(INT|LONG|FLOAT|STRING|BYTES|UNICODE|BYTEARRAY)[1248]?")
LITERALS = frozenset(op.name for op in pickletools.opcodes if LITERAL.fullmatch(op.name))
CONSTANTS: dict[str, Callable[[], Any]] = {
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


@dataclass(frozen=True)
class Numbers:
    """A tensor's numbers that lie outside of the pickle: how many there are, and bytes for each."""

    count: int
    itemsize: int


WEIGHT = 2**20  # of the largest tuple: its length, and twice the weights of the tuples in it
ITEMSIZES = {"Double": 8, "Long": 8, "ComplexFloat": 8, "ComplexDouble": 16, "Float": 4, "Int": 4, "Half": 2}
ITEMSIZES |= {"BFloat16": 2, "Short": 2, "ComplexHalf": 4}


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(keys(values[::2]), values[1::2], strict=True))


@dataclass
class Machine:
    """The stack, the places of the marks in it, the memo, and the tuples that hold tuples.

    ``find`` makes a key of a module and a name, ``call`` a value of such a key and arguments. ``persistent`` says
    whether values may lie outside of the pickle, as torch's numbers do. ``room`` is for how many bytes of values.
    """

    find: Callable[[Any, Any], str]
    call: Callable[[str, tuple[Any, ...]], Any]
    persistent: bool = False
    room: float = inf
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

    def take(self, count: float) -> None:
        """Leave less room for what is still to come: a small file must not fill the memory."""
        self.room -= count
        if self.room < 0:
            raise Refused("what it asks for is larger than the file by far")

    def step(self, op: str, arg: Any) -> None:
        """Carry out one instruction; ``arg`` is what follows it in the file."""
        push = self.stack.append
        match op:
            case _ if op in LITERALS:
                push(arg)
            case _ if op in CONSTANTS:
                push(CONSTANTS[op]())
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
                if place[:1] == ("module",):  # the source of its class, which the older format keeps beside it
                    raise Refused(MODULE)
                push(numbers := _numbers(place))
                if numbers.count * numbers.itemsize > self.room:
                    raise Refused("it claims a tensor that is larger than the file")
            case "REDUCE" | "NEWOBJ":
                function, arguments = self.pop(2)
                if not isinstance(function, _Function) or not isinstance(arguments, tuple):
                    raise Refused(f"it calls a {type(function).__name__}")
                value = self.call(function.key, arguments)
                self.take(0 if any(value is argument for argument in arguments) else nbytes(value))
                push(value)
            case "BUILD":
                (state,) = self.pop(1)
                fill(self.stack[-1], state)
                self.take(nbytes(self.stack[-1]) if isinstance(self.stack[-1], NumpyArray) else 0)
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

    def run(self, file: BufferedIOBase) -> Any:
        """The content of the next pickle in a file."""
        for op, arg, _ in pickletools.genops(file):
            self.step(op.name, arg)
        (content,) = self.stack
        return content


def _numbers(place: tuple[Any, ...]) -> Numbers:
    """What torch says of a tensor's numbers: ``("storage", type, key, device, count)``."""
    kind, count = (place[1], place[4]) if len(place) > 4 else (None, 0)
    if not isinstance(count, int) or count < 0:
        raise Refused("it says in an unknown way how many numbers a tensor has")
    name = kind.key.rpartition(".")[2].removesuffix("Storage") if isinstance(kind, _Function) else ""
    return Numbers(count, ITEMSIZES.get(name, 1))
