"""A reader of pickled weights that runs nothing in them.

Python's own unpickler calls whatever a file names. This reader is a small machine for the same instructions that can
call the functions of one table (``pickle_values.CALLS``). Whatever else a file asks for ends the reading.

Files of ``torch.save`` are read by torch, whose own restricted reader can be made to run for ever, by hashing or
printing a tuple of twice the same tuple of twice the same tuple …, and to fill the memory. The same machine walks
through them first.
"""

import zipfile
from functools import partial
from io import SEEK_CUR, BufferedIOBase, BytesIO
from math import prod
from pathlib import Path
from typing import Any

from zstar.checkpoints.machine import Machine, Numbers
from zstar.checkpoints.pickle_values import CALLS, Refused, as_dict, as_set, explain, find, full_name, sizes

PICKLES = 5  # in a legacy file of torch.save: magic number, version, system, content, and the keys of the storages
SLACK = 2**24  # bytes that what a file holds may come to besides …
TIMES = 4  # … this many times its size: several names may share their numbers
PARAMETERS = {f"torch._utils._rebuild_parameter{end}" for end in ("", "_with_state")}
TENSORS = {f"torch._utils._rebuild_tensor{end}": 2 for end in ("", "_v2", "_v3")}  # the place of their shape


def read_pickle(path: str | Path) -> Any:
    """The content of a pickle: plain containers, numbers, text, tensors, and a ``PickledObject`` for each network.

    Raises:
        ValueError: The file is damaged, or it asks for something that is not in the table; nothing of it was run.
    """
    try:
        room = room_of(Path(path).stat().st_size)
        with Path(path).open("rb") as file:
            return Machine(find, partial(_call, room), room=room).run(file)
    except Exception as error:  # a damaged file can fail anywhere
        raise ValueError(f"checkpoint: {path} is not read, because {explain(error)}") from None


def room_of(size: int) -> int:
    """The bytes that a file of ``size`` bytes may come to in memory."""
    return TIMES * size + SLACK


def _call(room: int, key: str, arguments: tuple[Any, ...]) -> Any:
    if key == "torch.storage._load_from_bytes" and arguments and isinstance(arguments[0], bytes):
        _walk_legacy(BytesIO(arguments[0]), room)
    return CALLS[key](*arguments)


def _pretend(machine: Machine, key: str, arguments: tuple[Any, ...]) -> Any:
    """The result of a call while torch's files are only walked through: a container to add items to."""
    if key in TENSORS:
        storage, shape = arguments[0], sizes(arguments[TENSORS[key]], "a shape")
        machine.take(prod(shape) * (storage.itemsize if isinstance(storage, Numbers) else 8))
    elif key.startswith("torch.") and key.endswith(("Tensor", "Storage")):
        raise Refused(f"it calls {key}, which makes numbers that are not in the file")
    elif key.startswith("torch._utils._rebuild_") and key not in PARAMETERS:
        raise Refused(f"it holds a tensor of a kind that no weights are of ({key})")
    elif key.endswith(".bytearray") and any(not isinstance(argument, bytes | str) for argument in arguments):
        raise Refused("it asks for bytes that are not in the file")
    calls = {"builtins.set": as_set, "collections.OrderedDict": as_dict, "collections.Counter": as_dict}
    return calls.get(key, lambda *_: {})(*arguments)


def _walk(file: BufferedIOBase, room: float) -> float:
    """Go through one pickle of torch without making anything of it; the room that is left."""
    machine = Machine(full_name, lambda key, arguments: _pretend(machine, key, arguments), persistent=True, room=room)
    machine.run(file)
    return machine.room


def _walk_legacy(file: BufferedIOBase, room: float) -> None:
    for _ in range(PICKLES):
        if not file.read(1):
            return
        file.seek(-1, SEEK_CUR)
        room = _walk(file, room)


def zipped(head: bytes) -> bool:
    """Whether torch takes a file that begins with these bytes for its newer, zipped format."""
    return head.startswith(b"PK\x03\x04")


def walk_torch(path: Path) -> None:
    """Go through the pickles in a file of ``torch.save`` without making anything of them.

    Raises:
        Refused: Torch would read them for ever, overflow its stack, or fill the memory.
        Exception: The file is damaged.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if not zipped(file.read(4)):  # by the same sign as torch: a file could look like both
            file.seek(0)
            return _walk_legacy(file, room_of(size))
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > size:
            raise Refused("its content is compressed, as torch.save never does; save it again with torch.save")
        for entry in archive.infolist():
            if entry.filename.lower().endswith(".pkl"):
                _walk(BytesIO(archive.read(entry)), room_of(size))
