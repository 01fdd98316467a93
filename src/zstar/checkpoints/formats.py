"""Formats of weight files, recognised by their first bytes and read without executing anything."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from zstar.checkpoints.pickle_machine import read_pickle, room_of, walk_torch, zipped
from zstar.checkpoints.pickle_values import PickledObject, Refused, explain, stand_ins
from zstar.checkpoints.records import flatten
from zstar.checkpoints.unfit import what_it_is
from zstar.config.paths import place

# Where in a checkpoint the weights of the generator usually are, the best first.
KEYS = ("g_ema", "G_ema", "params_ema", "state_dict", "net_state_dict", "model", "generator", "g", "params", "net")
WRAPPERS = ("module.", "_orig_mod.")
SHOWN = 8
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # how the older of torch.save's two formats begins


ALIGNMENT = 64  # bytes


def aligned(tensor: Tensor) -> Tensor:
    """The tensor at an address such as torch chooses for its own; in files they lie anywhere.

    Sums of a product of matrices are rounded in another order at other addresses, so that a picture of what was read
    would not be bit for bit that of what was written.
    """
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT else tensor


def read_content(path: Path) -> dict[str, Any]:
    """The mapping that a file holds, on the CPU: tensors by name, or state dicts and other values by name.

    Raises:
        ValueError: One sentence with the path: the file is missing, empty, damaged, of another kind, or asks for code
            to be run.
    """
    content = read_value(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"checkpoint: {path} holds a {type(content).__name__}, not a state dict")
    return dict(content)


def read_value(path: Path) -> Any:
    """Whatever a file holds, on the CPU: a mapping as ``read_content`` gives it, a lone tensor, …; errors as there."""
    if not path.is_file():
        raise ValueError(f"checkpoint: there is no file {path}")
    with path.open("rb") as file:
        head = file.read(len(LEGACY))
    if not head:
        raise ValueError(f"checkpoint: {path} is empty")
    if words := what_it_is(path):
        raise ValueError(f"checkpoint: {path} is not read, because {words}")
    if head[8:9] == b"{":
        try:
            return {name: aligned(tensor) for name, tensor in load_file(path).items()}
        except SafetensorError as error:
            raise ValueError(f"checkpoint: {path} is no complete safetensors file ({error})") from None
    return _read_torch(path) if zipped(head) or head.startswith(LEGACY) else read_pickle(path)


def _read_torch(path: Path) -> Any:
    try:
        # Plain options, as in rosinality's checkpoints, and what numpy and pathlib leave among them.
        with torch.serialization.safe_globals([argparse.Namespace, *stand_ins()]):
            walk_torch(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere
        raise ValueError(f"checkpoint: {path} is not read, because {explain(error)}") from None


def select(content: dict[str, Any], key: str | None, path: str | Path) -> tuple[str, dict[str, Tensor]]:
    """The state dict called ``key``, or the likeliest one, with its name; empty for the whole content.

    A key that is no name of a state dict is the beginning of names in one, as ``decoder`` in pSp's files.

    Raises:
        ValueError: There is none of this name, or without a name it is unclear which is meant; all are listed.
    """
    try:
        whole = _tensors(content)
        dicts = {str(name): tensors for name, value in content.items() if (tensors := _tensors(value)) is not None}
    except Refused as error:
        raise ValueError(f"checkpoint: {path} is not read, because {error}") from None
    if whole is None and not dicts:  # tensors with other values between them
        whole = {str(name): value for name, value in content.items() if isinstance(value, Tensor)} or None
    if key is not None and key not in dicts:
        return key, _bounded(_beginning(key, dicts if whole is None else {"": whole}, path), path)
    if key is None and whole is not None:
        return "", _bounded(whole, path)
    chosen = key or next((name for name in KEYS if name in dicts), next(iter(dicts)) if len(dicts) == 1 else None)
    if chosen is None:
        names = ", ".join(dicts) or "none"
        raise ValueError(f"checkpoint: {path} holds no state dict that is surely the right one; there are: {names}")
    return chosen, _bounded(dicts[chosen], path)


def _beginning(key: str, dicts: dict[str, dict[str, Tensor]], path: str | Path) -> dict[str, Tensor]:
    """Of the one state dict with names that begin with ``key``, these names without it."""
    found = {}
    for name, tensors in dicts.items():
        prefix = f"{key.removeprefix(f'{name}.').rstrip('.')}."
        if inner := {full.removeprefix(prefix): value for full, value in tensors.items() if full.startswith(prefix)}:
            found[name] = inner
    chosen = next((name for name in (*KEYS, *found) if name in found), None)
    if chosen is None or (len(found) > 1 and chosen not in KEYS):
        names = ", ".join(dict.fromkeys([*filter(None, dicts), *_beginnings(dicts)]))
        raise ValueError(f"checkpoint: {path} holds no state dict '{key}'; there are: {names or 'none'}")
    return found[chosen]


def _beginnings(dicts: dict[str, dict[str, Tensor]]) -> list[str]:
    """The first parts of the names in some state dicts, as far as a list of them can be read."""
    parts = dict.fromkeys(name.partition(".")[0] for tensors in dicts.values() for name in tensors if "." in name)
    return [part for part in parts if not part.isdigit()][:SHOWN]


def _bounded(tensors: dict[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    """A state dict whose tensors are not much larger than their file, however often it names one and the same."""
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > room_of(place(path).stat().st_size):
        raise ValueError(f"checkpoint: {path} is not read, because what it asks for is larger than the file by far")
    return tensors


def _tensors(value: Any) -> dict[str, Tensor] | None:
    """A state dict, without what data parallelism and compilation put before names; None for anything else."""
    if isinstance(value, PickledObject):
        value = flatten(value)
    if not isinstance(value, Mapping) or not value or not all(isinstance(v, Tensor) for v in value.values()):
        return None
    tensors = {str(name): tensor for name, tensor in value.items()}
    while prefix := next((one for one in WRAPPERS if all(name.startswith(one) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors
