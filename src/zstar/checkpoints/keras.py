"""Weights that Keras wrote as HDF5, for a PyTorch network of the same layers.

Read with h5py, which runs nothing. All layouts hold a layer's tensors in the order in which PyTorch has them: kernel
and bias; scale, shift, mean and variance of a batch norm. ``save`` and the ``save_weights`` of Keras 2 also name them
and say the order of the layers; in ``.weights.h5`` of Keras 3, that is the one of the numbers in their names.
"""

import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zstar.checkpoints.names import natural
from zstar.checkpoints.pickle_machine import room_of
from zstar.config.reasons import Unfit, reason

SIGNATURE = b"\x89HDF\r\n\x1a\n"
LARGEST, LONGEST = 100_000, 1000  # parts of a file, and characters of a path in it
COUNTER = "num_batches_tracked"
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
TURNED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Layer(NamedTuple):
    """Tensors of one layer of Keras: its path, and the tensors by their names in it."""

    path: str
    tensors: dict[str, Tensor]


def is_hdf5(path: Path) -> bool:
    """Whether a file is of the format that Keras writes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def match_keras(module: nn.Module, path: Path, key: str | None = None) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict of a network, by the layers of a file: each of its layers in their order gets the first of those
    that are left whose tensors have the shapes that it needs.

    Kernels are turned from [..., inputs, outputs] to PyTorch's [outputs, inputs, ...]. What lies between layers is the
    network's own: Keras flattens height, width, channels in this order, and its batch norms have an ε of 0.001.

    Arguments:
        module: The network; its layers are those of PyTorch, in the order of the data.
        path: An HDF5 file of ``save_weights`` or ``save``.
        key: How the paths of the layers begin that are meant, such as the name of a model in the model.

    Returns:
        The state dict, and a table of what became what, line by line.

    Raises:
        ValueError: The file can't be read, or its layers are not those of the network; one sentence with the path.
    """
    left = [layer for layer in read_layers(path) if key is None or f"{layer.path}/".startswith(f"{key.rstrip('/')}/")]
    if not left:
        raise ValueError(f"checkpoint: {path} has no layers of Keras{f' whose paths begin with {key}' if key else ''}")
    state: dict[str, Tensor] = {}
    table = []
    for name, own, wanted in _layers(module):
        fitting = [(layer, found) for layer in left if (found := _fit(own, wanted, layer)) is not None]
        # In files that do not say the order of layers of several kinds, the usual names at least tell transposed ones.
        fitting.sort(key=lambda pair: ("transpose" in pair[0].path) != isinstance(own, TRANSPOSED))
        if not fitting:
            shapes = ", ".join(str(tuple(value.shape)) for value in wanted.values())
            there = "; ".join(f"{layer.path} {_shapes(layer)}" for layer in left[:4]) or "none"
            raise ValueError(f"checkpoint: of {path}, no layer that is left is '{name}' {shapes}; left are: {there}")
        layer, found = fitting[0]
        left.remove(layer)
        state |= {f"{name}.{part}" if name else part: value for part, value in found.items()}
        table.append(f"{layer.path} {_shapes(layer)} → {name or type(own).__name__} ({type(own).__name__})")
    if left:
        raise ValueError(
            f"checkpoint: {path} has '{left[0].path}' {_shapes(left[0])}, which no layer of the network is"
        )
    return state, table


def read_layers(path: Path) -> list[Layer]:
    """The layers of a file that have weights, in their order.

    Raises:
        ValueError: The file is damaged, or asks for what lies outside of it; one sentence with the path.
    """
    try:
        h5py = importlib.import_module("h5py")  # few have it
    except ImportError:
        raise Unfit(f"checkpoint: {path} needs h5py; install it with pip install 'zstar[keras]'") from None
    try:
        with h5py.File(path, "r") as file:
            root = _inside(h5py, file, "model_weights") if "model_weights" in file else file
            room = room_of(path.stat().st_size)
            groups: dict[str, dict[str, Tensor]] = {}
            for place in _datasets(h5py, root):
                dataset = _inside(h5py, root, place)
                room -= math.prod(dataset.shape) * max(4, dataset.dtype.itemsize)
                if room < 0:
                    raise ValueError("what it asks for is larger than the file by far")
                layer, _, part = place.rpartition("/")
                groups.setdefault(layer.removesuffix("/vars"), {})[part] = _tensor(dataset, place)
    except (OSError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"checkpoint: {path} is damaged or no file of Keras ({reason(error)[:200]})") from None
    except ValueError as error:
        raise ValueError(f"checkpoint: {path} is not read, because {reason(error)}") from None
    return [Layer(place, tensors) for place, tensors in groups.items()]


def _datasets(h5py: Any, root: Any) -> list[str]:
    """The paths of all tensors, but for those of an optimizer, in their order."""
    if layers := _listed(root, "layer_names"):
        return [f"{layer}/{name}" for layer in layers for name in _listed(_inside(h5py, root, layer), "weight_names")]
    found, waiting = [], list(root)
    while waiting:
        place = waiting.pop()
        part = _inside(h5py, root, place)
        if isinstance(part, h5py.Group):
            waiting += [f"{place}/{name}" for name in part]
        else:
            found.append(place)
        if len(found) + len(waiting) > LARGEST or len(place) > LONGEST:
            raise ValueError("it has too many parts; does it hold itself?")
    return sorted((place for place in found if not place.startswith("optimizer")), key=natural)


def _listed(group: Any, name: str) -> list[str]:
    """A list of texts beside a group, which Keras cuts into parts where it is long."""
    parts = [name] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(f"{name}{len(parts)}")
    texts = (text for part in parts for text in group.attrs[part])
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _inside(h5py: Any, root: Any, place: str) -> Any:
    """What is at a path, if all of it is in the file itself: a link could lead to any other file."""
    here = root
    for name in filter(None, place.split("/")):
        if name in (".", "..") or not isinstance(here.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"'{place}' is a link to elsewhere")
        here = here[name]
    if isinstance(here, h5py.Dataset) and (here.external or here.is_virtual):
        raise ValueError(f"'{place}' lies outside of it")
    return here


def _tensor(dataset: Any, place: str) -> Tensor:
    if dataset.dtype.kind != "f":
        raise ValueError(f"'{place}' holds no floating-point numbers")
    return torch.from_numpy(dataset[()].astype("float32")).reshape(dataset.shape)


def _layers(module: nn.Module) -> Iterator[tuple[str, nn.Module, dict[str, Tensor]]]:
    """The modules that have tensors of their own, with these as a state dict has them, by name."""
    for name, own in module.named_modules():
        tensors = {part: value for part, value in own.state_dict().items() if "." not in part and part != COUNTER}
        if tensors:
            yield name, own, tensors


def _fit(own: nn.Module, wanted: dict[str, Tensor], layer: Layer) -> dict[str, Tensor] | None:
    """The tensors of a module by those of a layer; None where they are others."""
    parts = dict(layer.tensors)
    if isinstance(own, NORMS) and own.affine:  # Keras may leave out either, which is then 1 or 0
        names = {name.partition(":")[0] for name in parts}
        if "moving_mean" in names and len(parts) < len(wanted):
            parts = {"gamma": torch.ones_like(wanted["weight"]), "beta": torch.zeros_like(wanted["bias"])} | {
                name.partition(":")[0]: value for name, value in parts.items()
            }
    values = [_turned(value) if isinstance(own, TURNED) else value for value in parts.values()]
    if [value.shape for value in values] != [value.shape for value in wanted.values()]:
        return None
    return dict(zip(wanted, values, strict=True))


def _turned(value: Tensor) -> Tensor:
    """A kernel of Keras as PyTorch has it; a bias as it is."""
    return value if value.dim() < 2 else value.permute(-1, -2, *range(value.dim() - 2)).contiguous()


def _shapes(layer: Layer) -> str:
    return ", ".join(str(tuple(value.shape)) for value in layer.tensors.values())
