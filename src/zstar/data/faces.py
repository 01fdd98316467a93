"""Photos of people as they come: each face is a picture, cut out as a generator of faces knows it."""

import hashlib
import math
import sys
from collections.abc import Collection, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import FilePath
from zstar.config.paths import place
from zstar.data.alignment import (
    Alignment,
    Corners,
    celeba_corners,
    eyes_corners,
    ffhq_corners,
    longer_side,
    read_crop,
)
from zstar.data.base import MEGAPIXELS, AbstractData, Batch
from zstar.data.decoding import BadImage
from zstar.data.entries import Entry, list_entries, stem
from zstar.data.folder import Folder
from zstar.data.landmarks import KEY, read_landmarks
from zstar.data.reading import Fit, read_large, read_picture
from zstar.data.subset import hold_out
from zstar.detectors.base import AbstractDetector, Face
from zstar.generators.base import AbstractGenerator
from zstar.images import to_uint8
from zstar.runs.threads import read_all

NONE = "no face was found in it"


class Faces(AbstractData):
    """The faces of the photos in a folder or ``.tar``, aligned as a generator's training pictures were.

    A generator of faces knows them upright, in the middle, and of one size; of a photo as it comes it makes
    another person. The square around a face follows from its landmarks, which a detector finds or a table gives. The
    first face of a photo has the photo's id, the others ``a#2.jpg``, ``a#3.jpg``, in the order of their size. A photo
    without a face comes back in ``Batch.failed``.

    Arguments:
        path: The folder or the ``.tar``, as for :class:`zstar.data.folder.Folder`.
        align: ``ffhq`` (square, with the hair), ``celeba`` (178 × 218 with the eyes at fixed places, of which ``fit``
            makes a square), ``eyes`` (the square that has them where ``eyes`` says, for generators that know faces
            closer or farther away), or ``none`` for photos that are aligned already.
        detector: What finds the faces, where there is no table.
        landmarks: A table of them, as for :func:`zstar.data.landmarks.read_landmarks`; ``python -m
            zstar.data.find_faces`` makes one.
        eyes: For ``align=eyes``: x and y of the left eye, x and y of the right one, as seen in the picture, from its
            upper left corner in shares of its side.
        largest: Whether only the largest face of a photo counts.
        resolution, channels, count, first, generator: As for :class:`zstar.data.folder.Folder`; photos are counted,
            and not faces.
        fit: ``crop`` (the middle of CelebA's crop) or ``resize`` (all of it, squashed).
    """

    def __init__(
        self,
        path: FilePath,
        align: Alignment = "ffhq",
        detector: AbstractDetector | None = None,
        landmarks: FilePath | None = None,
        eyes: Sequence[float] | None = None,
        largest: bool = False,
        resolution: int | None = None,
        channels: int | None = None,
        fit: Fit = "crop",
        count: int | None = None,
        first: int = 0,
        generator: AbstractGenerator | None = None,
    ) -> None:
        self.folder = Folder(path, resolution, channels, fit, count, first, generator)
        if fit == "pad" and align != "none":
            raise ValueError("data.fit: pad is for photos without an alignment; choose crop or resize")
        if detector is None and landmarks is None and align != "none":
            raise ValueError(f"data.detector: is not given, and neither is a table of landmarks; give it, or {KEY}")
        self.eyes = _require_eyes(align, eyes)
        self.align, self.detector, self.fit, self.largest = align, detector, fit, largest
        self.table = None if landmarks is None or align == "none" else read_landmarks(place(landmarks))
        self.stems = {stem(name): faces for name, faces in (self.table or {}).items()}
        _say_strangers(self.stems, path)
        entries = self.folder.entries
        found = read_all(self._find, entries)
        self.places = [place for one in zip(entries, found, strict=True) for place in _named(*one)]

    def __len__(self) -> int:
        return len(self.places)

    def read(self, indices: Sequence[int]) -> Batch:
        chosen = [self.places[index] for index in indices]
        results = read_all(self._read, *zip(*chosen, strict=True)) if chosen else []
        names = [name for name, *_ in chosen]
        failed = {name: found for name, found in zip(names, results, strict=True) if isinstance(found, str)}
        found = {name: each for name, each in zip(names, results, strict=True) if not isinstance(each, str)}
        size = (self.folder.channels, self.folder.resolution, self.folder.resolution)
        images = torch.stack([image for image, _, _ in found.values()]) if found else torch.empty(0, *size)
        return Batch(
            list(found),
            images,
            failed=failed,
            shapes={name: shape for name, (_, shape, _) in found.items()},
            corners={name: corners for name, (_, _, corners) in found.items() if corners is not None},
        )

    def large(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        name, entry, face = self.places[index]
        if not isinstance(face, Face):
            return (
                self.folder.large(self.folder.entries.index(entry), megapixels) if face is None else self.read([index])
            )
        corners = self.corners(face)
        side = min(longer_side(corners), math.sqrt(megapixels * 1e6))
        try:
            image, shape = read_crop(
                entry.content(), corners, None, max(1, math.ceil(side - 1e-3)), self.folder.channels
            )
        except ValueError as error:
            return Batch([], torch.empty(0, self.folder.channels, 1, 1), failed={name: str(error)})
        return Batch([name], image[None], shapes={name: shape}, corners={name: corners})

    def whole(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        name, entry, face = self.places[index]
        if not isinstance(face, Face):
            return self.large(index, megapixels)
        try:
            photo, (height, width) = read_large(entry.content(), self.folder.channels, "resize", megapixels)
        except BadImage as error:
            return Batch([], torch.empty(0, self.folder.channels, 1, 1), failed={name: str(error)})
        scale = [photo.shape[2] / width, photo.shape[1] / height]
        corners = (self.corners(face) + 0.5) * scale - 0.5
        shapes = {name: (height, width)}
        return Batch([name], photo[None], shapes=shapes, corners={name: corners}, photos={name: entry.id})

    def fingerprint(self) -> str:
        """SHA-256 of the photos, of how they are brought to size, and of where the faces are."""
        digest = hashlib.sha256(
            f"{self.folder.fingerprint()} {self.align} {self.eyes or self.fit} {self.largest}".encode()
        )
        for name, _, face in self.places:
            digest.update(f"{name}\0".encode() + (face.points.tobytes() if isinstance(face, Face) else b""))
        return digest.hexdigest()

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        """Some of the images are kept out of training, at most a tenth."""
        return hold_out(self, count)

    def _find(self, entry: Entry) -> list[Face] | str | None:
        """The faces of a photo, ``None`` where it is taken as it is; or the reason why there are none."""
        if self.align == "none":
            return None
        if self.table is not None:
            faces = self.table.get(entry.id, self.stems.get(entry.stem))
            if faces is None:
                return f"{KEY}: the table has no row for it; add one, with empty cells where there is no face"
        else:
            assert self.detector is not None
            try:
                faces = find(entry, self.detector)
            except BadImage as error:
                return str(error)
        return faces[:1] if faces and self.largest else faces or NONE

    def _read(
        self, name: str, entry: Entry, face: Face | str | None
    ) -> tuple[Float[Tensor, "c h w"], tuple[int, int], Corners | None] | str:
        """The picture of a face, height and width of its photo, and its corners there; or why there is none."""
        if isinstance(face, str):
            return face
        try:
            if face is None:
                return *read_picture(entry.content(), self.folder.resolution, self.folder.channels, self.fit), None
            corners = self.corners(face)
            return *read_crop(entry.content(), corners, None, self.folder.resolution, self.folder.channels), corners
        except ValueError as error:  # BadImage among them
            return str(error)

    def corners(self, face: Face) -> Corners:
        """The corners of the crop around a face, in its photo."""
        if self.eyes is not None:
            return eyes_corners(face.points, self.eyes)
        return ffhq_corners(face.points) if self.align == "ffhq" else celeba_corners(face.points, self.fit == "crop")


def _require_eyes(align: Alignment, eyes: Sequence[float] | None) -> list[Sequence[float]] | None:
    """The places of the two eyes, where an alignment asks for them, and only there."""
    if align != "eyes":
        if eyes is not None:
            raise ValueError(f"data.eyes: {list(eyes)} is not for data.align={align}; choose data.align=eyes, or null")
        return None
    if eyes is None or len(eyes) != 4 or not all(map(math.isfinite, eyes)) or list(eyes[:2]) == list(eyes[2:]):
        raise ValueError(
            f"data.eyes: {eyes} says nothing of two eyes; give x and y of the left one and of the right one, in shares "
            "of the picture's side, such as [0.35,0.46,0.65,0.46]"
        )
    return [list(eyes[:2]), list(eyes[2:])]


def _say_strangers(stems: Collection[str], path: FilePath) -> None:
    """Say which rows of a table are of no photo at a path; refuse one that has no other rows."""
    there = {entry.stem for entry in list_entries(path, "data.path")} if stems else set()
    if not (lost := [name for name in stems if name not in there]):
        return
    sentence = f"{KEY}: {len(lost)} of {len(stems)} names in the table are of no photo in {path}, such as '{lost[0]}'"
    if len(lost) == len(stems):
        raise ValueError(f"{sentence}; give the table of these photos, with their names in its first column")
    print(f"{sentence}; they are passed over", file=sys.stderr)


def find(entry: Entry, detector: AbstractDetector) -> list[Face]:
    """The faces of a photo; ``BadImage`` with the reason where it can't be read."""
    photo = read_large(entry.content(), fit="resize")[0]
    return detector(to_uint8(photo[None])[0].numpy())


def _named(entry: Entry, faces: list[Face] | str | None) -> list[tuple[str, Entry, Face | str | None]]:
    """The pictures of a photo, each with its id; one that fails by the photo's id where there is no face."""
    if not isinstance(faces, list):
        return [(entry.id, entry, faces)]
    suffix = entry.id.removeprefix(entry.stem)
    return [(entry.id if k == 1 else f"{entry.stem}#{k}{suffix}", entry, face) for k, face in enumerate(faces, start=1)]
