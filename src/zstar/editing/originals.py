"""The photos that an editing run goes back to: what was projected, at its own resolution."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from zstar.data.base import AbstractData, Batch
from zstar.data.decoding import BadImage
from zstar.data.reading import read_image
from zstar.postprocess.chain import Chain, make_chain
from zstar.postprocess.paste_back import Seam, paste_back
from zstar.projection.job import make_data
from zstar.projection.pipeline import Pipeline
from zstar.runs.folder import safe_name

SAME = 0.1  # mean difference, of 2 from black to white, up to which an image is the one that was projected
BATCH = 64


@dataclass(frozen=True)
class Originals:
    """The photos of an editing run, and what brings edits onto them.

    Attributes:
        chain: Steps of post-processing.
        data: Where the photos are read.
        places: Name of an image → its index there.
        megapixels: A photo with more is scaled down to it.
        seam: How what was cut out of a photo goes back into it; ``None`` for not at all.
    """

    chain: Chain
    data: AbstractData
    places: Mapping[str, int]
    megapixels: float
    seam: Seam | None

    def read(self, name: str) -> Batch:
        """A photo at its own resolution, with its mask if there is one; empty, with a reason, if it can't be read."""
        return self.data.large(self.places[name], self.megapixels)

    def whole(self, name: str) -> Batch:
        """The whole photo that an image was cut out of, if it was and edits go back there; else what ``read`` gives."""
        return self.read(name) if self.seam is None else self.data.whole(self.places[name], self.megapixels)

    def put_back(
        self, name: str, photo: Float[Tensor, "c h w"], edited: Float[Tensor, "c h w"]
    ) -> Float[Tensor, "c H W"]:
        """An edited photo in the whole one that it was cut out of; itself where it is to stay alone."""
        if self.seam is None:
            return edited
        whole = self.whole(name)
        return paste_back(whole.images[0], photo, edited, whole.corners[name], self.seam)


def find_originals(
    plain: Mapping[str, Any], pipeline: Pipeline, ids: Sequence[str], source: Path | None
) -> Originals | None:
    """The photos that were projected; ``None`` where no post-processing is chosen.

    Arguments:
        plain: The configuration of ``edit.py``.
        ids: Names of the images.
        source: The latents that they are edited from, beside the pictures that were projected; ``None`` where those
            are the generator's own.

    Raises:
        ValueError: ``data`` does not have them, or has others under their names; one sentence.
    """
    if not plain.get("postprocess"):
        return None
    chain = make_chain(plain["postprocess"])
    data, _ = make_data(deepcopy(dict(plain)), pipeline)
    wanted, places = set(ids), {}
    for index, name, image in images(data):
        if name in wanted:
            require_same(name, image, source)
            places[name] = index
        if len(places) == len(wanted):
            break
    if lost := [name for name in ids if name not in places]:
        raise ValueError(
            f"data: {lost[0]} was projected and is not there, so that there is no photo of it; give the data that was "
            "projected, or postprocess=[]"
        )
    return Originals(chain, data, places, plain["megapixels"], plain["seam"])


def images(data: AbstractData) -> Iterator[tuple[int, str, Float[Tensor, "c h w"]]]:
    """Index, name and picture of all images that can be read."""
    for first in range(0, len(data), BATCH):
        indices = range(first, min(first + BATCH, len(data)))
        batch = data.read(indices)
        if len(batch.ids) == len(indices):
            yield from zip(indices, batch.ids, batch.images, strict=True)
            continue
        for index in indices:  # some of them can't be read, and nothing says which index was whose
            alone = data.read([index])
            yield from zip([index] * len(alone.ids), alone.ids, alone.images, strict=True)


def require_same(name: str, image: Float[Tensor, "c h w"], source: Path | None) -> None:
    """Refuse an image that is not the one that was projected, where the run that did it has kept it."""
    kept = None if source is None else source.parent / "targets" / f"{safe_name(name)}.png"
    if kept is None or not kept.is_file():
        return
    try:
        target = read_image(kept, image.shape[-1], image.shape[0])
    except BadImage:
        return
    if (image.clamp(-1, 1) - target).abs().mean() > SAME:
        raise ValueError(
            f"data: {name} is another image than the one of this name that was projected; give the data that was "
            "projected, or postprocess=[]"
        )
