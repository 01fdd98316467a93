"""A second device that is not there: tensors whose numbers are real and whose place is pretended.

    with FakeDevice() as device:
        generator.to(device.name)
        with device.watching() as seen:
            ...
        assert not seen.waits and not seen.copies

A tensor of this device keeps its numbers in a tensor of the CPU, so results are those of the CPU bit for bit. What a
second device refuses is refused: operations on tensors of different devices, random numbers of a generator that lives
elsewhere, NumPy's view of a tensor. What costs time there is counted, each with the line of the package that asked for
it: launches of kernels, waits of the host for a number, and copies from the host.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
NAME = "pretended"
PACKAGE = str(Path(__file__).parents[1] / "src" / "zstar") + "/"
WAITS = {aten._local_scalar_dense, aten.nonzero, aten.equal, aten.masked_select, aten.unique_dim, aten._unique2}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
FREE = {aten.view, aten._unsafe_view, aten.expand, aten.t, aten.transpose, aten.permute, aten.slice, aten.select}
FREE |= {aten.unsqueeze, aten.squeeze, aten.detach, aten.alias, aten.as_strided, aten.split, aten.split_with_sizes}
FREE |= {aten.unbind, aten.diagonal, aten.unfold, aten.reshape, aten.lift_fresh, aten.empty, aten.empty_like}
FREE |= {aten.empty_strided, aten.new_empty, aten.movedim, aten.is_same_size, aten._local_scalar_dense}
GPUS = torch.cuda.device_count()  # of the machine, also where tests hide them
kernels: torch.library.Library | None = None


class Backend(backend_registration._DummyBackendModule):
    """What torch asks of the module of a device."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def _is_in_bad_fork(self) -> bool:
        return False

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.empty(0)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        pass

    def manual_seed_all(self, seed: int) -> None:
        """Its random numbers without a generator are those of the CPU."""


class AnyGenerator(type(torch.Generator)):
    """A generator of any device is an instance of whatever stands for the class."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, torch._C.Generator)


class Generator(torch.Generator, metaclass=AnyGenerator):
    """Random numbers of the host or of the pretended device, which are those that a host with its seed draws."""

    there: "dict[int, Generator]" = {}  # by what torch knows them by, as it hands on other objects for them

    def __new__(cls, device: Any = "cpu") -> "Generator":
        made = super().__new__(cls)
        made.place = torch.device(device)
        if made.place.type == NAME:
            cls.there[made._cdata] = made
        return made

    def __init__(self, device: Any = "cpu") -> None:
        super().__init__()

    @property
    def device(self) -> torch.device:
        return self.place


def available() -> bool:
    """Whether this torch can pretend a device: 2.10 and newer."""
    return hasattr(backend_registration, "_setup_privateuseone_for_python_backend")


def register() -> None:
    """Tell torch, once in a process, that there is such a device; autograd counts the devices when it is first used."""
    global kernels
    if kernels is None and available():
        backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=Backend())
        kernels = torch.library.Library("aten", "IMPL")  # of ``torch.tensor(…, device=…)``, which no mode sees
        kernels.impl("empty_strided", empty_strided, "PrivateUse1")
        kernels.impl("_copy_from", copy_from, "PrivateUse1")


def empty_strided(size: Any, stride: Any, **options: Any) -> "Elsewhere":
    """Memory of the device."""
    return Elsewhere(torch.empty_strided(size, stride, dtype=options.get("dtype"), device="cpu"))


def copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    """Numbers of the host for memory of the device."""
    note("copies")
    target.numbers.copy_(source)
    return target


class Elsewhere(Tensor):
    """A tensor of the pretended device."""

    numbers: Tensor

    @staticmethod
    def __new__(cls, numbers: Tensor) -> "Elsewhere":
        made = Tensor._make_wrapper_subclass(
            cls, numbers.size(), strides=numbers.stride(), storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype, layout=numbers.layout, device=f"{NAME}:0",
        )  # fmt: skip
        made.numbers = numbers
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})

    def tolist(self) -> Any:
        note("waits")
        return self.numbers.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"can't convert a tensor of {self.device} to numpy; copy it to the host first")

    __array__ = numpy

    def __deepcopy__(self, memo: dict[int, Any]) -> "Elsewhere":
        return memo.setdefault(id(self), Elsewhere(self.numbers.clone()).requires_grad_(self.requires_grad))

    def __repr__(self, **_: Any) -> str:
        return f"Elsewhere({self.numbers})"


@dataclass
class Seen:
    """Lines of the package → how often each did it."""

    launches: Counter = field(default_factory=Counter)
    waits: Counter = field(default_factory=Counter)
    copies: Counter = field(default_factory=Counter)


class FakeDevice(TorchDispatchMode):
    """The pretended device, while the context lasts."""

    now: "FakeDevice | None" = None

    def __init__(self) -> None:
        register()
        super().__init__()
        self.name, self.seen = f"{NAME}:0", None

    def __enter__(self) -> "FakeDevice":
        FakeDevice.now = self
        self.generator, torch.Generator = torch.Generator, Generator
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        FakeDevice.now, torch.Generator = None, self.generator
        super().__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})

    @contextmanager
    def watching(self) -> Iterator[Seen]:
        """Count what is done within."""
        self.seen, before = Seen(), self.seen
        try:
            yield self.seen
        finally:
            self.seen = before


def note(kind: str) -> None:
    """Count something for the line of the package that asks for it."""
    if FakeDevice.now is None or FakeDevice.now.seen is None:
        return
    frame = sys._getframe(1)
    while frame is not None and not frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    place = "elsewhere" if frame is None else f"{frame.f_code.co_filename.removeprefix(PACKAGE)}:{frame.f_lineno}"
    getattr(FakeDevice.now.seen, kind)[place] += 1


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on the numbers, with what the device would refuse refused and what it would cost counted."""
    packet, asked = func.overloadpacket, kwargs.get("device")
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, Elsewhere)]
    here = [tensor for tensor in tensors if not isinstance(tensor, Elsewhere)]
    target = torch.device(asked).type == NAME if asked is not None else bool(there)
    if there and packet not in (aten._to_copy, aten.copy_):
        refuse_mixtures(func, args, there, here)
    generator = kwargs.get("generator")
    if target and generator is not None and generator._cdata not in Generator.there:
        raise RuntimeError(f"{func}: expected a generator of {NAME}, and found one of the CPU")
    count(packet, args, there, here, target)
    plain = {**kwargs, "device": "cpu"} if asked is not None else kwargs
    inside = tree_map(lambda leaf: leaf.numbers if isinstance(leaf, Elsewhere) else leaf, (args, plain))
    made = func(*inside[0], **inside[1])
    if packet is aten.copy_:
        return args[0]
    known = {id(tensor.numbers): tensor for tensor in there}  # what is changed in place stays the tensor that it is

    def place(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not target:
            return leaf
        return known[id(leaf)] if id(leaf) in known else Elsewhere(leaf)

    return tree_map(place, made)


def refuse_mixtures(func: Any, args: Any, there: list[Tensor], here: list[Tensor]) -> None:
    """Raise for tensors of two devices, of which numbers (and the host's indices, which are copied) are no part."""
    for tensor in here:
        if func.overloadpacket in INDEXING and isinstance(args[0], Elsewhere) and not tensor.is_floating_point():
            note("copies")
        elif tensor.dim():
            raise RuntimeError(f"{func}: expected all tensors on one device, and found {there[0].device} and cpu")


def count(packet: Any, args: Any, there: list[Tensor], here: list[Tensor], target: bool) -> None:
    """What the operation costs on a device that the host has to talk to."""
    if packet in WAITS and there:
        note("waits")
    if packet in INDEXING and any(leaf.dtype == torch.bool for leaf in there[1:]):
        note("waits")  # the size of the result is a number of the device
    if packet is aten._to_copy:
        if there and not target:
            note("waits")
        elif here and target:
            note("copies")
    elif packet is aten.copy_ and there and here:
        note("copies" if isinstance(args[0], Elsewhere) else "waits")
    if (there or target) and packet not in FREE:
        note("launches")
