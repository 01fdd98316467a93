"""DCGANs, told by the shapes of their kernels, under the names of PyTorch's examples.

Whatever the layers are called, a generator is a chain of kernels from z to the colours. Transposed ones are stored as
[inputs, outputs, k, k], and all but the first double the size with 4×4; those of convolutions are [outputs, inputs, k,
k], and up-sampling with a 3×3 one doubles the size. The official names are ``main.<3i>`` of kernel i and
``main.<3i + 1>`` of the normalisation behind it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor

from zstar.checkpoints.names import natural

SETTINGS = {"normalization": ("batch", "instance", "none"), "prior": ("normal", "uniform")}  # that no tensor tells
COLOURS = (1, 3)
DOUBLING = {True: (4, 4), False: (3, 3)}  # size of all kernels but the first, whether they are transposed
MEAN = "running_mean"


class Chain(NamedTuple):
    """The kernels of a DCGAN in their order, and the normalisations between them, by the names of their layers."""

    kernels: Sequence[str]
    norms: Sequence[str]
    transposed: bool


def is_generator(weights: dict[str, Tensor]) -> bool:
    """Whether a state dict is that of a DCGAN generator."""
    return _chain(weights) is not None


def is_discriminator(weights: dict[str, Tensor]) -> bool:
    """Whether a state dict is that of a DCGAN discriminator: 4×4 convolutions from colours to one number."""
    if not _plain(weights):
        return False
    for names in _orders(weights):
        shapes = [tuple(weights[f"{name}.weight"].shape) for name in names]
        joined = all(one[0] == other[1] for one, other in pairwise(shapes))
        if joined and len(shapes) > 1 and shapes[-1][0] == 1 and all(shape[2:] == (4, 4) for shape in shapes):
            return True
    return False


def to_official(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a generator under the names of PyTorch's examples."""
    chain = _chain(weights)
    if chain is None:
        return weights
    places = {name: 3 * i for i, name in enumerate(chain.kernels)}
    places |= {name: 3 * i + 1 for i, name in enumerate(chain.norms)}
    return {_renamed(name, places): value for name, value in weights.items()}


def sizes(weights: dict[str, Tensor]) -> dict[str, Any]:
    """What the shapes of an official state dict tell.

    ``widths`` are the channels from z to the colours, ``first`` is the size of the first kernel, ``biases`` says which
    kernels have one.
    """
    chain = _chain(weights)
    if chain is None:
        raise ValueError("its kernels are no chain from z to colours")
    shapes = [tuple(weights[f"{name}.weight"].shape) for name in chain.kernels]
    inputs, outputs = (0, 1) if chain.transposed else (1, 0)
    return {
        "widths": [shapes[0][inputs], *(shape[outputs] for shape in shapes)],
        "first": shapes[0][2],
        "transposed": chain.transposed,
        "normalised": bool(chain.norms),
        "biases": [f"{name}.bias" in weights for name in chain.kernels],
    }


def _renamed(name: str, places: dict[str, int]) -> str:
    layer, _, part = name.rpartition(".")
    return f"main.{places[layer]}.{part}" if layer in places else name


def _chain(weights: dict[str, Tensor]) -> Chain | None:
    """The kernels of a generator; None where the state dict is of something else."""
    if not _plain(weights):
        return None
    norms = sorted((name.rpartition(".")[0] for name in weights if name.endswith(f".{MEAN}")), key=natural)
    lengths = [len(weights[f"{name}.{MEAN}"]) for name in norms]
    for names in _orders(weights):
        shapes = [tuple(weights[f"{name}.weight"].shape) for name in names]
        for transposed, (inputs, outputs) in {True: (0, 1), False: (1, 0)}.items():
            widths = [shape[outputs] for shape in shapes]
            joined = widths[:-1] == [shape[inputs] for shape in shapes[1:]] and widths[-1:] and widths[-1] in COLOURS
            doubling = all(shape[2:] == DOUBLING[transposed] for shape in shapes[1:])
            square = len(shapes) > 1 and shapes[0][2] == shapes[0][3] >= 4
            if joined and doubling and square and lengths in ([], widths[:-1]):
                return Chain(names, norms, transposed)
    return None


def _plain(weights: dict[str, Tensor]) -> bool:
    """Whether there are kernels, and beside them only what has a number for each channel."""
    dims = [value.dim() for value in weights.values()]
    return 4 in dims and set(dims) <= {0, 1, 4}


def _orders(weights: dict[str, Tensor]) -> list[list[str]]:
    """The layers with kernels as the file has them, and by the numbers in their names; safetensors keep no order."""
    names = [name.rpartition(".")[0] for name, value in weights.items() if value.dim() == 4 and name.endswith("weight")]
    return [sorted(names, key=natural), names]
