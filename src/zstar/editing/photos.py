"""Edits on the photos themselves, at their own resolution: post-processing of an editing run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.data.entries import stem
from zstar.data.reading import read_large
from zstar.editing.job import EditJob
from zstar.editing.layouts import Combination, Sheet
from zstar.editing.originals import Originals
from zstar.images import shrink, write_png
from zstar.postprocess.base import Change
from zstar.runs.folder import safe_name

FOLDER = "photos"
TOGETHER, PIXELS = 16, 2**21  # photos of one size that are worked on at once, and their pixels, at the most
SMALL = 192  # pixels of a side of those that pages and strips show


@dataclass
class Photos:
    """The photos of an editing run and where its edits of them are written.

    Attributes:
        job: The run.
        originals: Its photos, and what is done to them.
        folder: Of the run.
        failed: Name of an image → why there is no edit of its photo.
    """

    job: EditJob
    originals: Originals
    folder: Path
    failed: dict[str, str] = field(default_factory=dict)
    _small: dict[Path, Tensor] = field(default_factory=dict)
    _cut: set[str] = field(default_factory=set)  # names of those that are parts of larger photos
    _parts: dict[str, list[str]] = field(default_factory=dict)  # name of a photo → those that were cut out of it

    def path(self, sheet: Sheet, name: str, combination: Combination) -> Path:
        """The file of an edit of a photo."""
        title = "_".join(f"{direction}{alpha:+.6g}" for direction, alpha in combination)
        return self.folder / FOLDER / safe_name(sheet.name) / safe_name(name) / f"{title}.png"

    def draw(self, sheet: Sheet, part: slice) -> dict[str, tuple[Tensor, Tensor]]:
        """Write the photos of ``part`` with all edits of a sheet; those that are there already stay.

        Returns:
            Name of an image → its photo ``[c, h, w]`` and the edits of it ``[k, c, h, w]``, as small as they are shown;
            without those that failed.
        """
        ids = self.job.inversion.ids
        paths = {row: [self.path(sheet, ids[row], one) for one in sheet.combinations] for row in range(len(ids))[part]}
        missing = [row for row, files in paths.items() if not all(path.is_file() for path in files)]
        for group, photos, masks in self.groups(missing):
            try:
                self.edit(sheet, group, photos, masks)
            except ValueError as error:  # the photos do not suit a step
                self.failed |= {ids[row]: str(error) for row in group}
        found = {}
        for row, files in paths.items():
            if ids[row] not in self.failed and (batch := self.originals.whole(ids[row])).ids:
                parts = self._parts.setdefault(batch.photos.get(ids[row], ids[row]), [])
                parts += [] if ids[row] in parts else [ids[row]]
                edits = [self.small(path, batch.images.shape[1]) for path in files]
                found[ids[row]] = shrink(batch.images, SMALL)[0], torch.stack(edits)
        return found

    def together(self, sheet: Sheet) -> Iterator[tuple[str, Float[Tensor, "c h w"], Float[Tensor, "k c h w"]]]:
        """Write the photos of which several faces are edited with all of them at once, beside those of each face.

        Where two faces are so near that their crops overlap, both of their changes are added.

        Yields:
            The photo's name, the photo, and the edits of it, as small as they are shown.
        """
        for photo, names in self._parts.items():
            if len(names) == 1:
                continue
            before, edits = self.originals.whole(names[0]).images[0], []
            for combination in sheet.combinations:
                path = self.path(sheet, together(photo), combination)
                if not path.is_file():
                    alone = [
                        read_large(self.path(sheet, name, combination), len(before), "resize")[0] for name in names
                    ]
                    write_png(path, before + sum(one - before for one in alone))
                edits.append(self.small(path, len(before)))
            yield photo, shrink(before[None], SMALL)[0], torch.stack(edits)

    def edit(self, sheet: Sheet, rows: list[int], photos: Float[Tensor, "b c H W"], masks: Tensor | None) -> None:
        """Write all edits of a sheet of some photos of one size."""
        before = self.job.render(rows, ())
        for combination in sheet.combinations:

            def frame(share: float, whole: Combination = combination) -> Tensor:
                return self.job.render(rows, tuple((name, share * alpha) for name, alpha in whole))

            made = self.originals.chain(Change(photos, before, frame(1.0), masks, frame)).cpu()
            for row, photo, edited in zip(rows, photos.cpu(), made, strict=True):
                name = self.job.inversion.ids[row]
                picture = self.originals.put_back(name, photo, edited) if name in self._cut else edited
                path = self.path(sheet, name, combination)
                write_png(path, picture)
                self._small[path] = shrink(picture[None], SMALL)[0]

    def groups(
        self, rows: Sequence[int]
    ) -> Iterator[tuple[list[int], Float[Tensor, "b c H W"], Float[Tensor, "b 1 H W"] | None]]:
        """The photos of some images, those of one size together, on the generator's device, with their masks."""
        waiting: dict[tuple[int, ...], list[tuple[int, Tensor, Tensor | None]]] = {}
        for row in rows:
            name = self.job.inversion.ids[row]
            batch = self.originals.read(name)
            if name not in batch.ids:
                self.failed[name] = batch.failed.get(name, "it can't be read any more")
                continue
            self._cut |= set(batch.corners)
            photo, mask = batch.images, batch.extras.get("mask")
            group = waiting.setdefault((*photo.shape, mask is not None), [])
            group.append((row, photo, mask))
            if len(group) >= min(TOGETHER, max(1, PIXELS // photo[0, 0].numel())):
                yield self.join(group)
                group.clear()
        yield from (self.join(group) for group in waiting.values() if group)

    def join(self, group: Sequence[tuple[int, Tensor, Tensor | None]]) -> tuple[list[int], Tensor, Tensor | None]:
        """Photos of one size as a batch."""
        bring = self.job.pipeline.generator.bring
        masks = [mask for *_, mask in group if mask is not None]
        photos = torch.cat([photo for _, photo, _ in group])
        return [row for row, *_ in group], bring(photos), bring(torch.cat(masks)) if masks else None

    def small(self, path: Path, channels: int) -> Float[Tensor, "c h w"]:
        """An edit of a photo as small as it is shown, made now or before."""
        made = self._small.pop(path, None)
        return shrink(read_large(path, channels, "resize")[0][None], SMALL)[0] if made is None else made


def together(photo: str) -> str:
    """The name of a photo with all of its faces: ``a.jpg`` → ``a#all.jpg``."""
    name = stem(photo)
    return f"{name}#all{photo.removeprefix(name)}"
