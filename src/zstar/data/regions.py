"""Images whose masks say which region of them is edited."""

from collections.abc import Collection, Sequence

from zstar.data.base import AbstractData, AbstractView, Batch

INSIDE = 0.5  # of a mask's values: what is above it is edited


class Regions(AbstractView):
    """The images of ``data``, of which those come back in ``Batch.failed`` whose mask, of their own size, is nowhere
    above a half: no part of them would be edited.

    Arguments:
        data: The images with their masks.
        names: Of the targets that are such masks.
    """

    def __init__(self, data: AbstractData, names: Collection[str]) -> None:
        super().__init__(data)
        self.names = sorted(names)

    def read(self, indices: Sequence[int]) -> Batch:
        batch, failed = self.data.read(indices), {}
        for name in (name for name in self.names if name in batch.extras):
            for image, most in zip(batch.ids, batch.extras[name].flatten(1).amax(dim=1).tolist(), strict=True):
                if most <= INSIDE:
                    failed[image] = (
                        f"data.{name}: the mask of {image} is nowhere above a half at this resolution ({most:.2g} at "
                        "the most), so that no region of it is edited; make one white, and larger than a pixel"
                    )
        return batch.without(failed)

    def fingerprint(self) -> str:
        """That of the images with their masks."""
        return self.data.fingerprint()

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        """Both parts of the images, likewise."""
        kept, held = self.data.split(count)
        return Regions(kept, self.names), held and Regions(held, self.names)
