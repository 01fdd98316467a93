"""Image files in folders and archives."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zstar.config.paths import place, readable
from zstar.data.decoding import SUFFIXES, BadImage
from zstar.runs.threads import read_all

MAX_BYTES = 2_000_000_000
"""Larger files are refused unread: at the limit on pixels, uncompressed 16-bit RGBA takes 1.2 GB."""


@dataclass(frozen=True)
class Entry:
    """Location of one image: a whole file, or a stretch of an archive."""

    id: str
    file: Path
    offset: int = 0
    size: int = -1
    refusal: str | None = None

    @property
    def stem(self) -> str:
        """The id without its suffix, which an image and its companions have in common."""
        return stem(self.id)

    def content(self) -> bytes:
        """The bytes of the file; ``BadImage`` with the reason where they can't be read."""
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

    def digest(self) -> bytes:
        """The file's part of a fingerprint: id and content, or the reason why it can't be read."""
        try:
            content = self.content()
        except BadImage as error:
            content = str(error).encode()
        return f"{self.id}\0{hashlib.sha256(content).hexdigest()}".encode()


def digests(entries: Iterable[Entry]) -> list[bytes]:
    """The parts of a fingerprint in the order of the entries, some of which are read at once."""
    return read_all(Entry.digest, entries)


def list_entries(path: str, key: str) -> list[Entry]:
    """The images in a folder and all folders below it, or in an uncompressed ``.tar``, in no particular order.

    Arguments:
        path: The folder or the archive.
        key: What the configuration calls it, for errors.

    Raises:
        ValueError: There is no such folder or archive, or it can't be read.
    """
    root = place(path)
    if root.is_dir():
        return _from_folder(root, key)
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


def stem(name: str) -> str:
    """An image's id without the suffix of a picture file."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in SUFFIXES else name


def is_image(name: str) -> bool:
    """Whether a file name is that of a picture, by its suffix; hidden files are none."""
    return _counts(name) and PurePosixPath(name).suffix.lower() in SUFFIXES


def _from_folder(root: Path, key: str) -> list[Entry]:
    entries = []
    for folder, inner, names in os.walk(root, onerror=_refuse(key)):
        inner[:] = [name for name in inner if _counts(name)]
        files = [Path(folder, name) for name in names if is_image(name)]
        # Links that lead nowhere stay in, to fail by name; pipes and sockets, which would block, are no images.
        files = [file for file in files if file.is_file() or not file.exists()]
        entries += [Entry(_printable(file.relative_to(root).as_posix()), file) for file in files]
    return entries


def _refuse(key: str) -> Callable[[OSError], None]:
    def refuse(error: OSError) -> None:
        raise ValueError(f"{key}: the folder '{error.filename}' can't be listed ({error.strerror}); make it readable")

    return refuse


def _from_tar(root: Path, archive: tarfile.TarFile) -> list[Entry]:
    entries = {}
    for member in archive:
        name = PurePosixPath(member.name)
        outside = name.is_absolute() or ".." in name.parts
        if member.isdir() or not is_image(name.name) or not (outside or all(map(_counts, name.parts))):
            continue
        refusal = None
        if outside:
            refusal = "its name leads out of the archive"
        elif not member.isreg() or member.issparse():
            refusal = "it is a link or another special member of the archive, and these are not followed"
        entry = Entry(_printable(str(name)), root, member.offset_data, member.size, refusal)
        entries[entry.id] = entry  # a later member of the same name replaces the earlier, as in unpacking
    return list(entries.values())


def _counts(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _printable(name: str) -> str:
    """The name as valid Unicode, since ids go into JSON: bytes of a file name that are none become ``\\udcff``."""
    return readable(name).encode("utf-8", "backslashreplace").decode()
