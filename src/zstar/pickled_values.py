"""What a file of pickled weights may hold, each made by a function that was written for untrusted arguments."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Refused(ValueError):
    """Why a pickle is not read, as half a sentence about it."""


def explain(error: Exception) -> str:
    """Why a file was not read, as half a sentence about it."""
    if isinstance(error, Refused):
        return str(error)
    if found := re.search(r"GLOBAL ([\w.]+)", str(error)):  # what torch says of a name that it refuses
        return f"it asks for {found[1]}, which is not needed for weights"
    return f"it is damaged or no file of weights ({(str(error) or type(error).__name__).splitlines()[0]})"


@dataclass
class Record:
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
            raise Refused(f"it holds a numpy array of type '{self.code}'")
        return np.frombuffer(data, self.code).copy()


@dataclass
class NumpyArray:
    """A numpy array, which a pickle first announces and then fills."""

    value: np.ndarray | None = None


def _record(meta: dict[str, Any]) -> Record:
    return Record(str(meta["class_name"]), dict(meta["state"]))


def _storage(data: bytes) -> Any:
    storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise Refused(f"it holds a {type(storage).__name__} in the place of a tensor's numbers")
    return storage


def _tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    flat = torch.tensor([], dtype=storage.dtype).set_(storage._untyped_storage)
    if prod(size) > len(flat):  # with a stride of zero, a small file could fill the memory
        raise Refused("it holds a tensor that is larger than its own numbers")
    return flat.as_strided(size, stride, offset).clone()


def _bytes(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise Refused(f"it stores bytes as {encoding}")
    return text.encode("latin-1")


def _dict(pairs: Any = ()) -> dict[Any, Any]:
    return dict(pairs)


def _set(values: Any = ()) -> set[Any]:
    return set(values)


CALLS: dict[str, Callable[..., Any]] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _record,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch.storage._load_from_bytes": _storage,
    "collections.OrderedDict": _dict,
    "dnnlib.util.EasyDict": _dict,
    "numpy.dtype": lambda code, *_: NumpyType(str(code)),
    "numpy.core.multiarray.scalar": lambda kind, data: kind.read(data)[0].item(),
    "numpy.core.multiarray._reconstruct": lambda *_: NumpyArray(),
    "numpy.ndarray": lambda *_: NumpyArray(),  # named as an argument of _reconstruct
    "_codecs.encode": _bytes,
    "builtins.set": _set,
    "__builtin__.set": _set,
}


def find(module: str, name: str) -> str:
    """The key in ``CALLS`` of what a pickle asks for; whatever is not in that table is refused by its name."""
    key = f"{module}.{name}".replace("numpy._core.", "numpy.core.", 1)
    if key in CALLS and "." not in name:  # a dot would reach into an object, not name one
        return key
    if module.startswith("dnnlib.tflib"):
        raise Refused(f"it holds a TensorFlow network ({key}); convert it with its authors' legacy.py first")
    raise Refused(f"it asks for {key}, which is not needed for weights")


def fill(target: Any, state: Any) -> None:
    """What a state does to an object: numbers to arrays, a byte order to their types, and nothing to all others."""
    if isinstance(target, NumpyArray):
        _, shape, kind, fortran, data = state
        target.value = kind.read(data).reshape(shape, order="F" if fortran else "C")
    elif isinstance(target, NumpyType):
        target.code = f"{state[1]}{target.code}"
