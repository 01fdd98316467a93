"""Any folder of images."""

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import FilePath
from zstar.data.base import MEGAPIXELS, AbstractData, Batch
from zstar.data.decoding import SUFFIXES, BadImage
from zstar.data.entries import Entry, digests, list_entries
from zstar.data.reading import Fit, read_large, read_picture
from zstar.data.subset import hold_out
from zstar.generators.base import AbstractGenerator
from zstar.runs.threads import read_all


class Folder(AbstractData):
    """The images in a folder and all folders below it, or in an uncompressed ``.tar``: for photos of one's own.

    An image's id is its path below the folder with ``/`` between the parts and with its suffix (``cats/a.png``); the
    order is that of the ids. Images are recognised by their suffix (:data:`zstar.data.decoding.SUFFIXES`); hidden files
    and folders and ``__MACOSX`` are passed over, links to folders not followed. Formats and scaling are described at
    :func:`zstar.data.reading.read_image`. A file that can't be read comes back in ``Batch.failed``. Archives are read
    in place, never unpacked; members whose names lead out of them are refused.

    Arguments:
        path: The folder or the ``.tar``.
        resolution: Height and width in pixels that images are brought to; the generator's if not given.
        channels: 3 or 1; the generator's if not given, and 3 without one.
        fit: ``"crop"`` (largest central square), ``"pad"`` (on white) or ``"resize"`` (squash).
        count: Use only so many images; ``None`` for all.
        first: Place of the first of them, in the order of the ids.
        generator: What the images are to be projected into.
    """

    def __init__(
        self,
        path: FilePath,
        resolution: int | None = None,
        channels: int | None = None,
        fit: Fit = "crop",
        count: int | None = None,
        first: int = 0,
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
        entries = sorted(list_entries(path, "data.path"), key=lambda entry: entry.id)
        if not entries:
            raise ValueError(f"data.path: '{path}' holds no images ({', '.join(sorted(SUFFIXES))}); point it at some")
        if not 0 <= first < len(entries):
            raise ValueError(
                f"data.first: {first} is no place among {len(entries)} images; set it to 0 or a little more"
            )
        self.entries = entries[first:][:count]

    def __len__(self) -> int:
        return len(self.entries)

    def read(self, indices: Sequence[int]) -> Batch:
        chosen = [self.entries[index] for index in indices]
        results = read_all(self._read, chosen)
        pairs = list(zip([entry.id for entry in chosen], results, strict=True))
        failed = {name: reason for name, reason in pairs if isinstance(reason, str)}
        found = [(name, *picture) for name, picture in pairs if not isinstance(picture, str)]
        empty = torch.empty(0, self.channels, self.resolution, self.resolution)
        images = torch.stack([image for _, image, _ in found]) if found else empty
        shapes = {name: shape for name, _, shape in found}
        return Batch([name for name, *_ in found], images, failed=failed, shapes=shapes)

    def large(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        entry = self.entries[index]
        try:
            image, shape = read_large(entry.content(), self.channels, self.fit, megapixels)
        except BadImage as error:
            empty = torch.empty(0, self.channels, self.resolution, self.resolution)
            return Batch([], empty, failed={entry.id: str(error)})
        return Batch([entry.id], image[None], shapes={entry.id: shape})

    def fingerprint(self) -> str:
        """SHA-256 of ids, files and how they are brought to size; a folder and its tar have the same one."""
        digest = hashlib.sha256(f"{self.resolution} {self.channels} {self.fit}".encode())
        for part in digests(self.entries):
            digest.update(part)
        return digest.hexdigest()

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        """Some of the images are kept out of training, at most a tenth."""
        return hold_out(self, count)

    def _read(self, entry: Entry) -> tuple[Float[Tensor, "c h w"], tuple[int, int]] | str:
        """The image and the height and width of its file; or the reason why it can't be read."""
        try:
            return read_picture(entry.content(), self.resolution, self.channels, self.fit)
        except BadImage as error:
            return str(error)
