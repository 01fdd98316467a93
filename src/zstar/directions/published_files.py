"""Files of published directions, read without running anything in them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zstar.checkpoints.formats import read_value
from zstar.config.paths import place
from zstar.config.reasons import reason

KEY = "direction.published"
COMPONENTS = (("comp", "std"), ("lat_comp", "lat_stdev"), ("X_comp", "X_stdev"))  # in the order of preference


@dataclass(frozen=True)
class Vectors:
    """The content of a file of directions.

    Attributes:
        format: ``interfacegan`` (a normal in an .npy), ``e4e`` (a tensor in a .pt), or ``ganspace`` (components with
            their standard deviations).
        vectors: ``[k, d]``, or ``[k, n, d]`` for directions with a row for each layer, in the units of the file;
            components are multiplied by their standard deviations.
        unit: Unit of α.
    """

    format: str
    vectors: Float[Tensor, "k ..."]
    unit: str


def read_published(path: str | Path) -> Vectors:
    """The directions in an .npy, .npz or .pt.

    Raises:
        ValueError: The file is missing, damaged, asks for code to be run, or holds something else; one sentence.
    """
    path = place(path)
    if not path.is_file():
        raise ValueError(f"{KEY}.path: there is no file {path}")
    content = _read(path)
    if isinstance(content, Mapping):
        for vectors, scales in COMPONENTS:
            if vectors in content and scales in content:
                return _components(path, _tensor(path, content[vectors]), _tensor(path, content[scales]))
        names = ", ".join(map(str, list(content)[:8])) or "nothing"
        raise ValueError(f"{KEY}.path: {path} holds {names}, and no components with their standard deviations")
    vector = _tensor(path, content)
    vector = vector[None] if vector.ndim == 1 else vector
    if vector.ndim not in (2, 3) or len(vector) != 1:
        raise ValueError(f"{KEY}.path: {path} holds {tuple(vector.shape)}, and one direction is (1, d) or (1, n, d)")
    form = "interfacegan" if isinstance(content, np.ndarray) else "e4e"
    return Vectors(form, vector, "of the published vector")


def in_one_row(published: Vectors) -> Vectors:
    """Vectors of n equal rows as vectors of w, which move any number of rows; all others as they are."""
    vectors = published.vectors
    equal = vectors.ndim == 3 and bool((vectors == vectors[:, :1]).all())
    return replace(published, vectors=vectors[:, 0]) if equal else published


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        head = file.read(6)
    if head != b"\x93NUMPY" and path.suffix.lower() != ".npz":
        return read_value(path)
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        wanted = {name for pair in COMPONENTS for name in pair}  # any other may be large, and is only named
        return {name: content[name] if name in wanted else None for name in content.files}
    except Exception as error:  # a damaged file can fail anywhere
        raise ValueError(
            f"{KEY}.path: {path} is not read, because it is damaged or no numbers ({reason(error)})"
        ) from None


def _tensor(path: Path, value: Any) -> Tensor:
    """Finite numbers in single precision."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
        value = torch.from_numpy(value.astype(np.float32))
    if not isinstance(value, Tensor) or value.is_complex() or not value.numel():
        raise ValueError(f"{KEY}.path: {path} holds a {type(value).__name__} where a direction's numbers are expected")
    if not value.float().isfinite().all():
        raise ValueError(f"{KEY}.path: {path} holds numbers that are not finite")
    return value.detach().float()


def _components(path: Path, vectors: Tensor, scales: Tensor) -> Vectors:
    """Components as rows (with a dimension of one between, as GANSpace has it), times their standard deviations."""
    vectors = vectors.squeeze(1) if vectors.ndim == 3 and vectors.shape[1] == 1 else vectors
    if vectors.ndim != 2 or scales.shape != (len(vectors),):
        sizes = f"{tuple(vectors.shape)} with {tuple(scales.shape)}"
        raise ValueError(f"{KEY}.path: {path} holds {sizes}, and components are (k, d) with k standard deviations")
    return Vectors("ganspace", vectors * scales[:, None], "σ")
