"""Each image beside each of several styles."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.check import STYLES
from zstar.config.paths import place
from zstar.data.base import MEGAPIXELS, AbstractData, Batch
from zstar.data.companions import Companions
from zstar.data.decoding import BadImage
from zstar.data.entries import Entry, digests, is_image, list_entries
from zstar.data.reading import read_picture


class Styled(AbstractData):
    """Every image of ``data`` as often as there are styles, each time with another one as the target ``style``:
    ``data.styles=paintings``. ``Batch.extras["style_share"]`` ``[b, k]`` says which, one-hot.

    Arguments:
        data: The images.
        path: A picture file, or a folder or ``.tar`` of them; their order is that of their names.

    Raises:
        ValueError: The path leads nowhere, or a picture can't be read; one sentence with the key.
    """

    def __init__(self, data: AbstractData, path: str) -> None:
        self.data, self.path, self.fit, self.computes = data, path, data.fit, data.computes
        file = place(path)
        single = file.is_file() and is_image(file.name)
        found = [Entry(file.name, file)] if single else list_entries(path, f"data.{STYLES}")
        self.entries = sorted(found, key=lambda entry: entry.id)
        self._pictures: dict[tuple[int, int, int], Tensor] = {}
        for entry in self.entries:
            try:
                read_picture(entry.content(), 8)
            except BadImage as error:
                raise ValueError(f"data.{STYLES}: {entry.id} can't be used, {error}; remove it") from None

    @property
    def count(self) -> int:
        """Number of styles."""
        return len(self.entries)

    def __len__(self) -> int:
        return len(self.data) * self.count

    def read(self, indices: Sequence[int]) -> Batch:
        places = [divmod(int(index), self.count) for index in indices]
        batches = [
            self._with(self.data.read([image for image, own in places if own == style]), style)
            for style in sorted({style for _, style in places})
        ]
        return batches[0] if len(batches) == 1 else _joined(batches)

    def large(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        image, style = divmod(index, self.count)
        return self._with(self.data.large(image, megapixels), style)

    def whole(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        return self.data.whole(index // self.count, megapixels)

    def _with(self, batch: Batch, style: int) -> Batch:
        """The images of a batch beside one style, under names of their own."""

        def name(image: str) -> str:
            return image if self.count == 1 else f"{image}-style-{style}"

        if not batch.ids:
            return replace(batch, failed={name(image): reason for image, reason in batch.failed.items()})
        picture = self._picture(style, batch.images.shape[1], batch.images.shape[-1])
        share = torch.nn.functional.one_hot(torch.tensor([style]), self.count).float()
        rows = len(batch.ids)
        extras = {**batch.extras, "style": picture.expand(rows, -1, -1, -1), "style_share": share.expand(rows, -1)}
        return Batch(
            [name(image) for image in batch.ids],
            batch.images,
            extras,
            {name(image): reason for image, reason in batch.failed.items()},
            {name(image): shape for image, shape in batch.shapes.items()},
            {name(image): corners for image, corners in batch.corners.items()},
        )

    def _picture(self, style: int, channels: int, size: int) -> Float[Tensor, "c size size"]:
        """A style as large as the images, read once."""
        key = (style, channels, size)
        if key not in self._pictures:
            self._pictures[key] = read_picture(self.entries[style].content(), size, channels)[0]
        return self._pictures[key]

    def fingerprint(self) -> str:
        """SHA-256 of the images' fingerprint and of the styles' names and content."""
        digest = hashlib.sha256(self.data.fingerprint().encode())
        for part in digests(iter(self.entries)):
            digest.update(part)
        return digest.hexdigest()

    def split(self, count: int) -> tuple["Styled", "Styled | None"]:
        """Both parts of the images, each beside every style; what is held out counts pictures in all."""
        kept, held = self.data.split(-(-count // self.count))
        return Styled(kept, self.path), held and Styled(held, self.path)


def with_targets(data: AbstractData, companions: Mapping[str, str], styles: str | None) -> AbstractData:
    """The images beside the files of their own or shared ones, and beside styles, where there are any."""
    data = Companions(data, companions) if companions else data
    return data if styles is None else Styled(data, styles)


def target_names(own: Iterable[str], companions: Iterable[str], styles: str | None) -> set[str]:
    """Names of the targets that such images have besides themselves; ``own`` are those of the data themselves."""
    return {*own, *companions, *(() if styles is None else ("style",))}


def _joined(batches: Sequence[Batch]) -> Batch:
    """Several batches as one; extras that not all of them have are left out."""
    whole = [batch for batch in batches if batch.ids] or batches[:1]
    names = set.intersection(*(set(batch.extras) for batch in whole))
    joined = Batch([], torch.cat([batch.images for batch in whole]))
    joined.extras = {name: torch.cat([batch.extras[name] for batch in whole]) for name in names}
    for batch in batches:
        joined.ids += batch.ids
        joined.failed |= batch.failed
        joined.shapes |= batch.shapes
        joined.corners |= batch.corners
    return joined
