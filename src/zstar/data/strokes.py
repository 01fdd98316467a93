"""Strokes of a user on the images of a data set: layers with transparent pixels, and a JSON beside them."""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor

from zstar.config.paths import place
from zstar.data.base import AbstractData, AbstractView, Batch
from zstar.data.companions import SAME_SHAPE
from zstar.data.decoding import BadImage
from zstar.data.entries import stem
from zstar.data.handles import Handle
from zstar.data.layers import FOLLOWED, Layer, drawn, read_layers
from zstar.runs.threads import read_all

FILE = "strokes.json"
KEY = "data.strokes"


class Stroked(AbstractView):
    """The images of ``data`` with the strokes on each: ``data.strokes=<folder>``, as ``docs/strokes.md`` describes it.

    The folder has a folder for each image, of its name without the suffix, with a ``strokes.json`` and its layers; or
    these themselves, for all images that have no folder of their own. An image comes with the targets
    ``color_strokes``, ``sketch`` and ``warp`` [c, h, w] in [−1, 1], and with ``color_mask``, ``sketch_mask`` and
    ``warp_mask`` [1, h, w] in [0, 1], which are 0 where there is no such stroke; with ``points`` [k, 2, 2], where
    handles are and are to be in pixels, and ``movable_mask`` [1, h, w], what may move. An image without strokes, or
    with some that can't be used, comes back in ``Batch.failed``.

    Arguments:
        data: The images.
        path: The folder.
        followed: The targets that are looked at; an image with strokes of another kind has failed. None for all.

    Raises:
        ValueError: There is no such folder, or no strokes in it; one sentence.
    """

    def __init__(self, data: AbstractData, path: str, followed: Collection[str] | None = None) -> None:
        super().__init__(data)
        self.path, self.folder, self.followed = path, place(path), followed
        if not self.folder.is_dir():
            raise ValueError(f"{KEY}: there is no folder '{path}'; give one with strokes.json and its layers")
        if next(self.folder.rglob(FILE), None) is None:
            raise ValueError(
                f"{KEY}: there is no {FILE} in '{path}' nor in the folders in it; docs/strokes.md says how"
            )

    def read(self, indices: Sequence[int]) -> Batch:
        batch = self.data.read(indices)
        if not batch.ids:
            return batch
        size = batch.images.shape[-1]
        shapes = [batch.shapes.get(name, (size, size)) for name in batch.ids]
        found = read_all(self._read, batch.ids, batch.images, shapes)
        failed = {name: reason for name, reason in zip(batch.ids, found, strict=True) if isinstance(reason, str)}
        drawn, batch = [layers for layers in found if not isinstance(layers, str)], batch.without(failed)
        for name in drawn[0] if drawn else ():
            batch.extras[name] = torch.stack([layers[name] for layers in drawn])
        return batch

    def fingerprint(self) -> str:
        """SHA-256 of the images' fingerprint and of the content of all strokes."""
        digest = hashlib.sha256(self.data.fingerprint().encode())
        for file in sorted(file for file in self.folder.rglob("*") if file.is_file()):
            digest.update(f"{file.relative_to(self.folder)}\0".encode("utf-8", "surrogateescape") + file.read_bytes())
        return digest.hexdigest()

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        """Both parts of the images, with the same strokes."""
        kept, held = self.data.split(count)
        return self._on(kept), held and self._on(held)

    def followed_by(self, targets: Collection[str]) -> "Stroked":
        """The same for an equation that looks at some targets: an image with strokes of which it would see nothing
        comes back in ``Batch.failed``."""
        return Stroked(self.data, self.path, targets)

    def _on(self, data: AbstractData) -> "Stroked":
        return Stroked(data, self.path, self.followed)

    def _read(self, name: str, image: Tensor, shape: tuple[int, int]) -> dict[str, Tensor] | str:
        """The targets of an image, or the reason why it has failed."""
        try:
            layers = read_layers(self._file(name))
            self._require_followed(layers)
            self._require_sizes(layers, shape)
            return drawn(layers, image, self.fit)
        except BadImage as error:
            return f"{KEY}: {error}"

    def _file(self, name: str) -> Path:
        own, shared = self.folder / stem(name) / FILE, self.folder / FILE
        if not own.is_file() and not shared.is_file():
            raise BadImage(f"there are no strokes for {name}; add {stem(name)}/{FILE}")
        return own if own.is_file() else shared

    def _require_followed(self, layers: Sequence[Layer | Handle]) -> None:
        """Refuse layers that nothing looks at."""
        for index, kind in enumerate(layer.kind for layer in layers):
            target, choice = FOLLOWED[kind]
            if self.followed is not None and target not in self.followed:
                raise BadImage(
                    f"layers[{index}] is of kind {kind}, which nothing follows; add {choice}, or leave it out"
                )

    def _require_sizes(self, layers: Sequence[Layer | Handle], shape: tuple[int, int]) -> None:
        """Refuse layers that do not lie over the picture."""
        for layer in layers:
            width, height = layer.size
            if abs(height * shape[1] / (width * shape[0]) - 1) > SAME_SHAPE:
                sizes = f"{height:g} × {width:g} pixels and the image {shape[0]} × {shape[1]}"
                raise BadImage(f"{layer.file} has {sizes}; give it the image's ratio of height to width")
