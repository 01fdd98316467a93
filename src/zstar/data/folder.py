"""Any folder of images."""

import hashlib
import os
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.data.base import AbstractData, Batch
from zstar.data.decoding import SUFFIXES, BadImage
from zstar.data.reading import Fit, read_image
from zstar.data.subset import hold_out
from zstar.generators.base import AbstractGenerator
from zstar.images import to_unit

READERS = 4
MAX_BYTES = 2_000_000_000
"""Larger files are refused unread: at the limit on pixels, uncompressed 16-bit RGBA takes 1.2 GB."""


@dataclass(frozen=True)
class Entry:
    """Where one image lies: a whole file, or a stretch of an archive."""

    id: str
    file: Path
    offset: int = 0
    size: int = -1
    refusal: str | None = None

    def content(self) -> bytes:
        if self.refusal:
            raise BadImage(self.refusal)
        try:
            size = self.file.stat().st_size if self.size < 0 else self.size
            if size > MAX_BYTES:
                raise BadImage(f"the file has {size / 1e9:.1f} GB, which is above the limit of {MAX_BYTES / 1e9:g} GB")
            with open(self.file, "rb") as stream:
                stream.seek(self.offset)
                return stream.read(size)
        except OSError as error:
            raise BadImage(f"the file can't be opened ({error.strerror})") from error


class Folder(AbstractData):
    """The images in a folder and all folders below it, or in an uncompressed ``.tar``: for photos of one's own.

    An image's id is its path below the folder with ``/`` between the parts and with its suffix (``cats/a.png``); the
    order is that of the ids. What counts as an image is said by the suffix (:data:`zstar.data.decoding.SUFFIXES`);
    hidden files and folders and ``__MACOSX`` are passed over, links to folders not followed. What the formats become,
    and how they are scaled, is said at :func:`zstar.data.reading.read_image`. A file that can't be read comes back in
    ``Batch.failed``. Archives are read in place, never unpacked; members whose names lead out of them are refused.

    Arguments:
        path: The folder or the ``.tar``.
        resolution: Height and width in pixels that images are brought to; the generator's if not given.
        channels: 3 or 1; the generator's if not given, and 3 without one.
        fit: ``"crop"`` (largest central square), ``"pad"`` (on white) or ``"resize"`` (squash).
        count: Use only so many images; ``None`` for all.
        first: Place of the first of them, in the order of the ids.
        weights: A folder or ``.tar`` of grey images with the same ids, the suffix aside: weight maps for losses, from
            black (0, does not count) to white (1), brought to size like the images.
        generator: What the images are to be projected into.
    """

    def __init__(
        self,
        path: str,
        resolution: int | None = None,
        channels: int | None = None,
        fit: Fit = "crop",
        count: int | None = None,
        first: int = 0,
        weights: str | None = None,
        generator: AbstractGenerator | None = None,
    ) -> None:
        if resolution is None and generator is None:
            raise ValueError(
                "data.resolution: is not given and there is no generator to take it from; set it in pixels"
            )
        self.resolution = resolution if resolution is not None else generator.resolution
        self.channels = channels if channels is not None else generator.channels if generator else 3
        self.fit = fit
        for key, value in {"resolution": self.resolution, "count": 1 if count is None else count}.items():
            if value < 1:
                raise ValueError(f"data.{key}: {value} is not possible; set it to 1 or more")
        if self.channels not in (1, 3):
            raise ValueError(f"data.channels: images have 1 or 3 channels, not {self.channels}; set it to 1 or 3")
        if fit not in ("crop", "pad", "resize"):
            raise ValueError(f"data.fit: there is no '{fit}'; choose crop, pad or resize")
        entries = sorted(_entries(path), key=lambda entry: entry.id)
        if not entries:
            raise ValueError(f"data.path: '{path}' holds no images ({', '.join(sorted(SUFFIXES))}); point it at some")
        if not 0 <= first < len(entries):
            raise ValueError(
                f"data.first: {first} is no place among {len(entries)} images; set it to 0 or a little more"
            )
        self.entries = entries[first:][:count]
        self.maps = None if weights is None else {_stem(entry): entry for entry in _entries(weights, "data.weights")}

    def __len__(self) -> int:
        return len(self.entries)

    def read(self, indices: Sequence[int]) -> Batch:
        chosen = [self.entries[index] for index in indices]
        with ThreadPoolExecutor(READERS) as pool:
            results = list(pool.map(self._read, chosen))
        failed = {entry.id: reason for entry, reason in zip(chosen, results, strict=True) if isinstance(reason, str)}
        ids = [entry.id for entry in chosen if entry.id not in failed]
        layers = [image for image in results if isinstance(image, Tensor)]
        both = torch.stack(layers) if layers else torch.empty(0, self.channels + 1, self.resolution, self.resolution)
        images, maps = both[:, : self.channels], both[:, self.channels :]
        return Batch(ids, images.contiguous(), {} if self.maps is None else {"weights": to_unit(maps)}, failed)

    def fingerprint(self) -> str:
        """SHA-256 of ids, files and how they are brought to size; a folder and its tar have the same one."""
        digest = hashlib.sha256(f"{self.resolution} {self.channels} {self.fit}".encode())
        maps = [] if self.maps is None else [self.maps[name] for name in sorted(self.maps)]
        for entry in [*self.entries, *maps]:
            try:
                content = entry.content()
            except BadImage as error:
                content = str(error).encode()
            digest.update(f"{entry.id}\0{hashlib.sha256(content).hexdigest()}".encode())
        return digest.hexdigest()

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        """Some of the images are kept out of training, at most a tenth."""
        return hold_out(self, count)

    def _read(self, entry: Entry) -> Float[Tensor, "c h w"] | str:
        """The image, with its weight map as one more channel where there are maps; or why it can't be read."""
        try:
            image = read_image(entry.content(), self.resolution, self.channels, self.fit)
            if self.maps is None:
                return torch.cat([image, torch.ones_like(image[:1])])
            if _stem(entry) not in self.maps:
                return "data.weights holds no map of this name"
            weights = read_image(self.maps[_stem(entry)].content(), self.resolution, 1, self.fit)
            return torch.cat([image, weights])
        except BadImage as error:
            return str(error)


def _stem(entry: Entry) -> str:
    """The id without its suffix: what an image and its weight map have in common."""
    return str(PurePosixPath(entry.id).with_suffix(""))


def _entries(path: str, key: str = "data.path") -> list[Entry]:
    root = Path(path).expanduser()
    if root.is_dir():
        return _from_folder(root)
    if not root.is_file():
        raise ValueError(f"{key}: there is no folder or .tar file '{path}'; point it at your images")
    try:
        with tarfile.open(root, "r:") as archive:
            entries = _from_tar(root, archive)
            archive.fileobj.seek(archive.offset)
            if archive.fileobj.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE):
                return entries
            raise tarfile.ReadError  # where a header is damaged or cut short, tarfile stops as if it were the end
    except (tarfile.TarError, OSError):
        fix = "unpack it, or point it at a folder"
        raise ValueError(f"{key}: '{path}' is neither a folder nor a whole, uncompressed .tar; {fix}") from None


def _from_folder(root: Path) -> list[Entry]:
    entries = []
    for folder, inner, names in os.walk(root, onerror=_unlisted):
        inner[:] = [name for name in inner if _counts(name)]
        files = [Path(folder, name) for name in names if _is_image(name)]
        # Links that lead nowhere stay in, to fail by name; pipes and sockets, which would block, are no images.
        files = [file for file in files if file.is_file() or not file.exists()]
        entries += [Entry(_printable(file.relative_to(root).as_posix()), file) for file in files]
    return entries


def _unlisted(error: OSError) -> None:
    raise ValueError(f"data.path: the folder '{error.filename}' can't be listed ({error.strerror}); make it readable")


def _from_tar(root: Path, archive: tarfile.TarFile) -> list[Entry]:
    entries = {}
    for member in archive:
        name = PurePosixPath(member.name)
        outside = name.is_absolute() or ".." in name.parts
        if member.isdir() or not _is_image(name.name) or not (outside or all(map(_counts, name.parts))):
            continue
        refusal = None
        if outside:
            refusal = "its name leads out of the archive"
        elif not member.isreg() or member.issparse():
            refusal = "it is a link or another special member of the archive, and these are not followed"
        entry = Entry(_printable(str(name)), root, member.offset_data, member.size, refusal)
        entries[entry.id] = entry  # a later member of the same name replaces the earlier, as in unpacking
    return list(entries.values())


def _is_image(name: str) -> bool:
    return _counts(name) and PurePosixPath(name).suffix.lower() in SUFFIXES


def _counts(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _printable(name: str) -> str:
    """The name as valid Unicode, since ids go into JSON: bytes of a file name that are none become ``\\udcff``."""
    return name.encode("utf-8", "backslashreplace").decode()
