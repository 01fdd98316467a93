"""Weights of TensorFlow.js: a manifest in JSON and binary files beside it, read as numbers and as nothing else."""

import json
import math
from pathlib import Path, PurePath
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from zstar.config.constraints import Reads
from zstar.config.paths import place

Manifest = Annotated[str, Reads(beside="*.bin")]  # what depends on its content depends on its binary files
STORED = {"float32": "<f4", "uint8": "u1", "uint16": "<u2"}  # how numbers lie in the binary files
LARGEST = 1 << 30  # bytes


def read(manifest: Manifest) -> dict[str, Tensor]:
    """Name → weights in float32, of the shapes that TensorFlow gives them.

    A quantised number q stands for q · scale + min.

    Arguments:
        manifest: Path of the ``…weights_manifest.json``; its binary files lie in the same folder.

    Raises:
        ValueError: The manifest, or a file that it names, is missing, damaged, too short or too long; one sentence.
    """
    path = place(manifest)
    weights: dict[str, Tensor] = {}
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
        for group in groups:
            weights |= _split(_content(path.parent, group["paths"]), group["weights"])
    except OSError as error:
        raise ValueError(f"{manifest}: {error.strerror} ({error.filename}); name the manifest of a network") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{manifest} can't be read as weights of TensorFlow.js ({error}); get it anew") from None
    return weights


def _content(folder: Path, names: list[str]) -> bytes:
    """The files of a group, one after the other; none of them from another folder."""
    if outside := [name for name in names if PurePath(name).name != name or name in ("", ".", "..")]:
        raise ValueError(f"it names {outside[0]!r}, which is no file beside it")
    if sum((folder / name).stat().st_size for name in names) > LARGEST:
        raise ValueError(f"its files have more than {LARGEST} bytes")
    return b"".join((folder / name).read_bytes() for name in names)


def _split(content: bytes, entries: list[dict[str, Any]]) -> dict[str, Tensor]:
    """The tensors of a group, which lie back to back."""
    found, start = {}, 0
    for entry in entries:
        name, shape, coding = entry["name"], entry["shape"], entry.get("quantization", {})
        kind = coding.get("dtype", entry["dtype"])
        if entry["dtype"] != "float32" or kind not in STORED:
            raise ValueError(f"{name} is of {entry['dtype']}, stored as {kind}")
        if not all(isinstance(side, int) and 0 < side < LARGEST for side in shape) or math.prod(shape) > LARGEST:
            raise ValueError(f"{name} has the shape {shape}")
        size = math.prod(shape) * np.dtype(STORED[kind]).itemsize
        if start + size > len(content):
            raise ValueError(f"{name} ends at byte {start + size}, and there are {len(content)}")
        values = np.frombuffer(content, STORED[kind], math.prod(shape), start).astype(np.float32)
        if coding:
            values = values * np.float32(coding["scale"]) + np.float32(coding["min"])
        found[name] = torch.from_numpy(values.reshape(shape).copy())
        start += size
    if start != len(content):
        raise ValueError(f"{len(content) - start} bytes are left over")
    return found


def fill(network: nn.Module, manifest: Manifest) -> nn.Module:
    """Load a network whose parameters are called as the tensors are, with dots for strokes, and freeze it.

    Filters are turned from TensorFlow's height, width, inputs, outputs to PyTorch's outputs, inputs, height, width.
    """
    weights = {name.replace("/", "."): value for name, value in read(manifest).items()}
    for name, value in weights.items():
        if value.dim() == 4:
            weights[name] = value.permute((2, 3, 0, 1) if name.endswith("depthwise_filter") else (3, 2, 0, 1))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        lines = " ".join(str(error).split())
        raise ValueError(f"{manifest} is not of {type(network).__name__}: {lines[:300]}; name its manifest") from None
    return network.eval().requires_grad_(False)
