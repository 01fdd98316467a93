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
from zstar.checkpoints.pickle_values import PickledObject, Refused, explain
from zstar.checkpoints.records import flatten
from zstar.config.paths import place

# Where in a checkpoint the weights of the generator usually are, the best first.
KEYS = ("g_ema", "G_ema", "params_ema", "state_dict", "net_state_dict", "model", "generator", "g", "params", "net")
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # how the older of torch.save's two formats begins


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
    if head[8:9] == b"{":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"checkpoint: {path} is no complete safetensors file ({error})") from None
    return _read_torch(path) if zipped(head) or head.startswith(LEGACY) else read_pickle(path)


def _read_torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # plain options, as in rosinality's checkpoints
            walk_torch(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere
        raise ValueError(f"checkpoint: {path} is not read, because {explain(error)}") from None


def select(content: dict[str, Any], key: str | None, path: str | Path) -> tuple[str, dict[str, Tensor]]:
    """The state dict called ``key``, or the likeliest one, with its name; empty for the whole content.

    Raises:
        ValueError: There is none of this name, or without a name it is unclear which is meant; all are listed.
    """
    try:
        if key is None and (whole := _tensors(content)) is not None:
            return "", _bounded(whole, path)
        dicts = {str(name): tensors for name, value in content.items() if (tensors := _tensors(value)) is not None}
    except Refused as error:
        raise ValueError(f"checkpoint: {path} is not read, because {error}") from None
    chosen = key or next((name for name in KEYS if name in dicts), next(iter(dicts)) if len(dicts) == 1 else None)
    if chosen not in dicts:
        names = ", ".join(dicts) or "none"
        absent = f"no state dict '{key}'" if key else "no state dict that is surely the right one"
        raise ValueError(f"checkpoint: {path} holds {absent}; there are: {names}")
    return chosen, _bounded(dicts[chosen], path)


def _bounded(tensors: dict[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    """A state dict whose tensors are not much larger than their file, however often it names one and the same."""
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > room_of(place(path).stat().st_size):
        raise ValueError(f"checkpoint: {path} is not read, because what it asks for is larger than the file by far")
    return tensors


def _tensors(value: Any) -> dict[str, Tensor] | None:
    """A state dict, without the prefix of data parallelism; None for anything else."""
    if isinstance(value, PickledObject):
        value = flatten(value)
    if not isinstance(value, Mapping) or not value or not all(isinstance(v, Tensor) for v in value.values()):
        return None
    wrapped = all(str(name).startswith("module.") for name in value)
    return {str(name).removeprefix("module.") if wrapped else str(name): v for name, v in value.items()}
