"""Pictures to paint on: samples of the generator, images of a data set, and photos."""

import hashlib
import threading
from collections.abc import Callable
from io import BytesIO

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from zstar.app.studio import Picture
from zstar.callbacks import Step
from zstar.data.base import AbstractData
from zstar.data.decoding import FORMATS, BadImage
from zstar.data.reading import read_image, read_large
from zstar.losses.targets import Targets
from zstar.projection.pipeline import Pipeline
from zstar.projectors.base import project
from zstar.stats.streams import stream

Progress = Callable[[float, str], None]
"""Hears which share of the work is done, and what is being done."""

LEAST_SIDE = 8  # pixels of a photo's shorter side


def silent(share: float, what: str) -> None:
    """Nobody hears of it."""


class Pictures:
    """Where pictures come from. It has a generator of its own, so that whoever paints need not wait for a projection.

    Arguments:
        pipeline: The line from a photo to its projection.
        data: Images to choose from.
        max_megabytes: Of the file of a photo, at the most.
        max_megapixels: Of a photo, at the most; counted before it is decoded.
    """

    def __init__(self, pipeline: Pipeline, data: AbstractData, max_megabytes: float, max_megapixels: float) -> None:
        self.pipeline, self.data = pipeline, data
        self.max_megabytes, self.max_megapixels = max_megabytes, max_megapixels
        self.lock = threading.Lock()

    @torch.no_grad()
    def sample(self, seed: int) -> Picture:
        """A scene that the generator draws, whose latent is known."""
        generator, space = self.pipeline.generator, self.pipeline.space.name
        with self.lock:
            latent = generator.bring(generator.sample(1, stream("scene", seed), space=space))
            v = {"latent": latent}
            photo = generator.render(v, space, self.pipeline.plain["noise"]).clamp(-1, 1)
        return Picture(photo.cpu(), v, space, {"sample": seed}, f"scene {seed}", self.pipeline.plain["noise"])

    def names(self, most: int = 64) -> list[str]:
        """Names of the first images of the data set that can be read."""
        return self.data.read(range(min(most, len(self.data)))).ids

    def image(self, name: str, progress: Progress = silent) -> Picture:
        """An image of the data set, projected, to be painted on at its own resolution.

        Raises:
            ValueError: There is none of this name.
        """
        for first in range(0, len(self.data), 64):
            batch = self.data.read(range(first, min(first + 64, len(self.data))))
            if name in batch.ids:
                row = batch.ids.index(name)
                image = batch.images[row : row + 1]
                own = self.own(name, range(first, first + len(batch.ids) + len(batch.failed)), row)
                return self.projected(image, {"image": name}, name, progress, own)
            if name in batch.failed:
                raise ValueError(f"data: {name} can't be read, {batch.failed[name]}; choose another image")
        raise ValueError(f"data: there is no image '{name[:60]}'; choose one of {', '.join(self.names(8))}, …")

    def photo(self, content: bytes, progress: Progress = silent) -> Picture:
        """A photo from the content of its file, projected: its middle, as a square of the generator's size.

        Raises:
            BadImage: It is none, too large or too small; one sentence.
        """
        progress(0.0, "reading the photo")
        image = self.read(content)
        own, _ = read_large(content, self.pipeline.generator.channels, megapixels=self.max_megapixels)
        return self.projected(image[None], {"photo": photo_hash(content)}, "your photo", progress, own[None])

    def own(self, name: str, indices: range, row: int) -> Float[Tensor, "1 c h w"] | None:
        """An image of the data set at its own resolution; it stands at one of the ``indices``, about the ``row``."""
        for index in indices[row:]:  # before it in its batch are those that could not be read
            batch = self.data.large(index, self.max_megapixels)
            if batch.ids == [name]:
                return batch.images
        return None

    def read(self, content: bytes) -> Float[Tensor, "c h w"]:
        """A photo as the generator's pictures are; errors as for :meth:`photo`."""
        if len(content) > self.max_megabytes * 1e6:
            size = f"{len(content) / 1e6:.1f} MB"
            raise BadImage(
                f"its file has {size}, more than the {self.max_megabytes:g} MB that are read here; shrink it"
            )
        try:
            width, height = Image.open(BytesIO(content), formats=FORMATS).size
        except Exception:  # which the decoder explains better
            width = height = LEAST_SIDE
        if width * height > self.max_megapixels * 1e6:
            size = f"{width} × {height} pixels"
            raise BadImage(
                f"it has {size}, more than the {self.max_megapixels:g} megapixels that are read here; shrink it"
            )
        if min(width, height) < LEAST_SIDE:
            raise BadImage(f"it has {width} × {height} pixels, too few to paint on; give {LEAST_SIDE} a side or more")
        generator = self.pipeline.generator
        return read_image(content, generator.resolution, generator.channels)

    def projected(
        self,
        image: Float[Tensor, "1 c h w"],
        origin: dict[str, str],
        title: str,
        progress: Progress = silent,
        own: Float[Tensor, "1 c H W"] | None = None,
    ) -> Picture:
        """An image with its projection, found by the chain of projectors, to be painted on at its own resolution,
        ``own``, where that is larger."""
        pipeline = self.pipeline
        total, done = max(1, sum(one.optimizer_steps for one in pipeline.projectors)), 0

        def count(step: Step) -> None:
            nonlocal done
            done += 1
            progress(min(done / total, 1.0), "projecting the photo into the generator")

        with self.lock:
            generator = pipeline.generator
            generator.require_size(image)
            classes = generator.any_class
            targets = Targets({"image": generator.bring(image)}, [title], classes)
            found = project(pipeline.problem, pipeline.projectors, targets, [count])
        if found.status[0] == "diverged":
            raise BadImage("its projection has no finite value; lower optimizer.lr")
        v = {name: value.detach() for name, value in found.v.items()}
        photo = image if own is None or min(own.shape[-2:]) < image.shape[-1] else own
        return Picture(photo.cpu(), v, found.space, origin, title, found.noise_mode)


def photo_hash(content: bytes) -> str:
    """What a painting knows its photo by."""
    return hashlib.sha256(content).hexdigest()
