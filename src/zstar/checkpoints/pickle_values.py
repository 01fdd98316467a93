"""The values that a file of pickled weights may hold, made by functions for untrusted arguments."""

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from types import NoneType, UnionType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zstar.config.reasons import reason


class Refused(ValueError):
    """The reason why a pickle is not read, as half a sentence about it."""


def explain(error: Exception) -> str:
    """The reason why a file was not read, as half a sentence about it."""
    if isinstance(error, Refused):
        return str(error)
    if name := re.search(r"GLOBAL ([\w.]+)", str(error)):  # torch's words for a name that it refuses
        return f"it asks for {name[1]}, which is not needed for weights"
    return f"it is damaged or no file of weights ({reason(error)})"


MODULE = "it is a whole pickled module; load it where its class is known, and save its state_dict() instead"


@dataclass
class PickledObject:
    """A pickled object reduced to data: the name of its class and its attributes. Its code is never run."""

    class_name: str
    state: dict[str, Any]


@dataclass
class NumpyType:
    """The type of a numpy array or number, such as ``f8``; a pickle adds the byte order afterwards."""

    code: str

    def read(self, data: bytes) -> np.ndarray:
        """The values in ``data``; Python objects are refused, as they would be pickles inside of the pickle."""
        if not re.fullmatch(r"[<>|=]?([biuf][1248]|\?)", self.code):
            raise Refused(f"it holds a numpy array of type {self.code[:40]!r}")
        _want(data, bytes, "the content of a numpy array")
        return np.frombuffer(data, self.code).copy()

    def __setstate__(self, state: Any) -> None:
        """What torch's reader calls for the byte order."""
        fill(self, state)


@dataclass
class NumpyArray:
    """A numpy array, which a pickle first announces and then fills."""

    value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        """What torch's reader calls to fill it."""
        fill(self, state)


def _want(value: Any, kind: type | UnionType, what: str) -> None:
    """Refuse a value of another type without looking into it: even its text may be larger than any memory."""
    if not isinstance(value, kind):
        raise Refused(f"{what} is a {type(value).__name__}")


def sizes(values: Any, what: str) -> tuple[int, ...]:
    _want(values, tuple, what)
    for value in values:
        _want(value, int, f"a number in {what}")
    if len(values) > 64 or not all(0 <= value < 2**63 for value in values):  # torch knows no more than 64 dimensions
        raise Refused(f"{what} is impossible")
    return values


def nbytes(value: Any) -> int:
    """The memory that a value made by a call takes, in bytes."""
    if isinstance(value, NumpyArray):
        return 0 if value.value is None else value.value.nbytes
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, torch.storage.TypedStorage):
        return value._untyped_storage.nbytes()
    return len(value) * (1 if isinstance(value, bytes | str) else 64) if hasattr(value, "__len__") else 0


def _record(meta: dict[str, Any]) -> PickledObject:
    _want(meta, dict, "the description of its network")
    _want(meta["class_name"], str, "the name of its network's class")
    _want(meta["state"], dict, "the state of its network")
    return PickledObject(meta["class_name"], dict(meta["state"]))


def _storage(data: bytes) -> Any:
    _want(data, bytes, "a tensor's storage")
    storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise Refused(f"it holds a {type(storage).__name__} in the place of a tensor's numbers")
    return storage


def _tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    _want(storage, torch.storage.TypedStorage, "a tensor's storage")
    size, stride, (offset,) = sizes(size, "a shape"), sizes(stride, "a stride"), sizes((offset,), "an offset")
    flat = torch.tensor([], dtype=storage.dtype).set_(storage._untyped_storage)
    if prod(size) > len(flat):  # with a stride of zero, a small file could fill the memory
        raise Refused("it holds a tensor that is larger than its own numbers")
    return flat.as_strided(size, stride, offset).clone()


def _bytes(text: str, encoding: str) -> bytes:
    _want(text, str, "text to encode")
    _want(encoding, str, "an encoding")
    if encoding not in ("latin1", "latin-1"):
        raise Refused(f"it stores bytes as {encoding[:40]!r}")
    return text.encode("latin-1")


def keys(values: Iterable[Any]) -> list[Any]:
    """Values that may be keys of a mapping or members of a set: their hash takes no time, unlike that of tuples."""
    values = list(values)
    for value in values:
        if not isinstance(value, str | int | float | bytes | NoneType):
            raise Refused(f"it has a {type(value).__name__} as a key or in a set")
        if isinstance(value, int) and value.bit_length() > 64:
            raise Refused("it has a number of more than 64 bits as a key or in a set")
    return values


def as_dict(pairs: Any = ()) -> dict[Any, Any]:
    """A mapping from another one or from a list of pairs."""
    _want(pairs, dict | list | tuple, "the content of a mapping")
    if isinstance(pairs, dict):
        return dict(pairs)
    for pair in pairs:
        _want(pair, list | tuple, "an item of a mapping")
    return dict(zip(keys(key for key, _ in pairs), (value for _, value in pairs), strict=True))


def as_set(values: Any = ()) -> set[Any]:
    """A set of the members of a list."""
    _want(values, list | tuple | set | frozenset, "the content of a set")
    return set(keys(values))


def _numpy_type(code: Any, *_: Any) -> NumpyType:
    _want(code, str, "the type of a numpy array")
    return NumpyType(code)


def _scalar(kind: Any, data: Any) -> Any:
    _want(kind, NumpyType, "the type of a numpy number")
    return kind.read(data)[0].item()


def _path(*parts: Any) -> str:
    for part in parts:
        _want(part, str, "a part of a path")
    return "/".join(parts)


PATHS = [f"pathlib.{inner}{kind}Path" for inner in ("", "_local.") for kind in ("Posix", "PurePosix", "Windows", "")]
CALLS: dict[str, Callable[..., Any]] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _record,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch.storage._load_from_bytes": _storage,
    "collections.OrderedDict": as_dict,
    "dnnlib.util.EasyDict": as_dict,
    "numpy.dtype": _numpy_type,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.multiarray._reconstruct": lambda *_: NumpyArray(),
    "numpy.ndarray": lambda *_: NumpyArray(),  # named as an argument of _reconstruct
    "_codecs.encode": _bytes,
    "builtins.set": as_set,
    "__builtin__.set": as_set,
    **dict.fromkeys(PATHS, _path),
}


def stand_ins() -> list[Any]:
    """For torch's own reader: what is made in the place of numbers of numpy and of paths, which it does not know."""
    names = [name for name in CALLS if name.startswith(("numpy.", "pathlib."))]
    names += [name.replace("numpy.core.", "numpy._core.") for name in names if name.startswith("numpy.core.")]
    known = [(CALLS[name.replace("numpy._core.", "numpy.core.")], name) for name in names]
    return [*known, NumpyType, NumpyArray]


def full_name(module: Any, name: Any) -> str:
    """The dotted name of what a pickle asks for."""
    _want(module, str, "the name of a module")
    _want(name, str, "the name of a function")
    if not re.fullmatch(r"[\w.]{1,200}", f"{module}.{name}"):
        raise Refused("it asks for something by a name that no function has")
    return f"{module}.{name}"


def find(module: Any, name: Any) -> str:
    """The key in ``CALLS`` of what a pickle asks for; whatever is not in that table is refused by its name."""
    key = full_name(module, name)
    key = key.replace("numpy._core.", "numpy.core.", 1)
    if key in CALLS and "." not in name:  # a dot would reach into an object, not name one
        return key
    if module.startswith("dnnlib.tflib"):
        raise Refused(f"it holds a TensorFlow network ({key}); convert it with its authors' legacy.py first")
    if key.startswith("torch.nn.modules."):
        raise Refused(MODULE)
    raise Refused(f"it asks for {key}, which is not needed for weights")


def fill(target: Any, state: Any) -> None:
    """Apply a state to an object: numbers to an array, a byte order to its type, and nothing to any other."""
    if isinstance(target, NumpyArray):
        _want(state, tuple, "the state of a numpy array")
        _, shape, kind, fortran, data = state
        _want(kind, NumpyType, "the type of a numpy array")
        shape = sizes(shape, "a shape")
        target.value = kind.read(data).reshape(shape, order="F" if fortran else "C")
    elif isinstance(target, NumpyType):
        _want(state, tuple, "the state of a numpy type")
        _want(state[1], str, "a byte order")
        target.code = state[1][:1] + target.code[:8]  # a longer one is no type in any case
    elif isinstance(state, dict) and {"_parameters", "_modules"} <= state.keys():
        raise Refused(MODULE)
