"""Further targets of the images of a data set: masks, styles and the like, from files."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.check import COMPANIONS
from zstar.config.paths import place
from zstar.data.alignment import Corners, photo_of, read_crop
from zstar.data.base import MEGAPIXELS, AbstractData, AbstractView, Batch
from zstar.data.decoding import BadImage
from zstar.data.entries import Entry, digests, is_image, list_entries, stem
from zstar.data.reading import read_picture, read_sized
from zstar.images import to_unit
from zstar.runs.threads import read_all

MAPS = frozenset({"mask"})  # targets that are grey maps in [0, 1]; the others are pictures like the images
SHAPELESS = frozenset({"style"})  # targets whose places are not those of the image
BLACK = 1e-5  # below the smallest step of 16 bits, and above what is left of black by interpolation
SAME_SHAPE = 0.01  # relative difference of two ratios of height to width that no image of G's size shows


class Companions(AbstractView):
    """The images of ``data``, each with files of its own or shared ones: ``data.mask=masks data.style=painting.jpg``.

    A companion is either one picture file for all images, or a folder or ``.tar`` with a file for each image: that of
    the same id, or of the same id but for the suffix. It becomes square as its image does, so a file of an image's own
    has to have the image's ratio of height to width; of a face that was cut out of a photo it shows the photo, and is
    cut out likewise. Neither goes for ``style``, whose places mean nothing. ``mask`` is a grey map, from black (0, does
    not count) to white (1, counts); the others have the channels of the images and are in [−1, 1]. An image whose
    companion is missing, of another shape or not readable comes back in ``Batch.failed``.

    Arguments:
        data: The images.
        paths: Name of the target → file, folder or ``.tar``.

    Raises:
        ValueError: A path leads nowhere, or a file for all images can't be read; one sentence with the key.
    """

    def __init__(self, data: AbstractData, paths: Mapping[str, str]) -> None:
        super().__init__(data)
        self.shared: dict[str, Entry] = {}
        self.files: dict[str, dict[str, list[Entry]]] = {}
        for name, path in sorted(paths.items()):
            file = place(path)
            if file.is_file() and is_image(file.name):
                self.shared[name] = _readable(Entry(file.name, file), name)
                continue
            self.files[name] = {}
            for entry in sorted(list_entries(path, f"data.{name}"), key=lambda entry: entry.id):
                self.files[name].setdefault(entry.stem, []).append(entry)

    def read(self, indices: Sequence[int]) -> Batch:
        return self._beside_each(self.data.read(indices))

    def large(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        return self._beside_each(self.data.large(index, megapixels))

    def _beside_each(self, batch: Batch) -> Batch:
        """The images of a batch with their companions."""
        if not batch.ids:
            return batch
        channels, height, width = batch.images.shape[1:]
        shapes = [batch.shapes.get(name, (height, width)) for name in batch.ids]
        corners = [batch.corners.get(name) for name in batch.ids]
        found = read_all(lambda *image: self._read(*image, channels, (height, width)), batch.ids, shapes, corners)
        failed = {name: reason for name, reason in zip(batch.ids, found, strict=True) if isinstance(reason, str)}
        read, batch = [files for files in found if not isinstance(files, str)], batch.without(failed)
        for name in (*self.shared, *self.files) if read else ():
            own, earlier = torch.stack([files[name] for files in read]), batch.extras.get(name)
            batch.extras[name] = own if earlier is None or name not in MAPS else own * earlier
        return batch

    def fingerprint(self) -> str:
        """SHA-256 of the images' fingerprint and of the names and the content of the companions."""
        digest = hashlib.sha256(self.data.fingerprint().encode())
        for name, entry in self.shared.items():
            digest.update(f"{name}\0".encode() + entry.digest())
        for name, files in self.files.items():
            digest.update(f"{name}\0".encode())
            for part in digests(entry for entries in files.values() for entry in entries):
                digest.update(part)
        return digest.hexdigest()

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        """Both parts of the images, with the same companions."""
        kept, held = self.data.split(count)
        return self._beside(kept), None if held is None else self._beside(held)

    def _beside(self, data: AbstractData) -> "Companions":
        """The same companions of other images."""
        other = Companions(data, {})
        other.shared, other.files = self.shared, self.files
        return other

    def _read(
        self, image: str, shape: tuple[int, int], corners: Corners | None, channels: int, size: tuple[int, int]
    ) -> dict[str, Tensor] | str:
        """The companions of an image by name, or the reason why it has failed."""
        found = {}
        for name in (*self.shared, *self.files):
            try:
                found[name] = self._companion(name, image, shape, corners, channels, size)
            except BadImage as error:
                return f"data.{name}: {error}"
        return found

    def _companion(
        self,
        name: str,
        image: str,
        shape: tuple[int, int],
        corners: Corners | None,
        channels: int,
        size: tuple[int, int],
    ) -> Float[Tensor, "c h w"]:
        entry = self.shared.get(name) or _choose(self._files(name, image, corners is not None), image)
        channels = 1 if name in MAPS else channels
        own_place = name not in (*self.shared, *SHAPELESS)
        if corners is not None and own_place:  # it lies in a photo; so does what the file shows of it
            made, own = read_crop(entry.content(), corners, shape, size[0], channels)
        else:
            made, own = read_sized(entry.content(), size, channels, self.fit)
        if own_place and abs(own[0] * shape[1] / (own[1] * shape[0]) - 1) > SAME_SHAPE:
            sizes = f"{own[0]} × {own[1]} pixels and the image {shape[0]} × {shape[1]}"
            raise BadImage(f"{entry.id} has {sizes}; give it the image's ratio of height to width")
        if name in MAPS and to_unit(made).max() < BLACK:
            raise BadImage(f"{entry.id} is black everywhere and leaves nothing of the image; make some of it white")
        return to_unit(made) if name in MAPS else made

    def _files(self, name: str, image: str, of_photo: bool) -> list[Entry]:
        """The files of an image; where it is one of the faces of a photo, the photo's if it has none of its own."""
        files = self.files[name]
        return files.get(stem(image)) or files.get(photo_of(image) if of_photo else stem(image), [])


def take_companions(node: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The configuration of a data set without its companions, and the paths of those that there are."""
    paths = {name: node[name] for name in COMPANIONS if node.get(name) is not None}
    for name, path in paths.items():
        if not isinstance(path, str):
            raise ValueError(f"data.{name}: {path!r} is no path; give a picture file, a folder or a .tar")
    return {key: value for key, value in node.items() if key not in COMPANIONS}, paths


def _choose(entries: Sequence[Entry], image: str) -> Entry:
    """Of the files with an image's stem the one with its suffix too, else the only one."""
    same = [entry for entry in entries if entry.id == image] or list(entries)
    if not same:
        raise BadImage(f"there is no file for {image}; add one of the same name, whatever its suffix")
    if len(same) > 1:
        raise BadImage(f"{' and '.join(entry.id for entry in same)} are both of this name; remove one of them")
    return same[0]


def _readable(entry: Entry, name: str) -> Entry:
    """A file for all images; an error if it is none."""
    try:
        read_picture(entry.content(), 8)
    except BadImage as error:
        raise ValueError(f"data.{name}: {entry.file} can't be used, {error}; give another file") from None
    return entry
