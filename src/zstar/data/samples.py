"""Images drawn from the generator itself, with known latents."""

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.data.base import AbstractData, Batch
from zstar.generators.base import AbstractGenerator
from zstar.runs.precision import exactly
from zstar.stats.streams import stream

CHUNK = 8
HELD_OUT = "held out"
LOST = "it is no picture, as its values are no numbers (of flows, some draws are none); lower data.truncation"


class Samples(AbstractData):
    """``count`` images G(v) of latents v drawn from the prior: for round trips, where the true answer is known.

    An image is a pure function of (seed, index): to the last bit on one machine, whichever images are read with it.
    Images come on the CPU and are not clamped, so that the latent explains them exactly; the noise maps are those
    stored with the weights (``"const"``). ``Batch.extras["latent"]`` holds the latents, in the space that
    ``self.space`` names. A draw that is no picture, as its values are no numbers, comes back in ``Batch.failed``.

    Arguments:
        generator: The fixed generator G.
        count: Number of images. Nothing is stored, so a training can have as many as it looks at: steps × batch.
        seed: Other seeds, other images.
        truncation: ψ; 1 is the prior itself, smaller values draw closer to its mean. Not every space has it: StyleGAN's
            acts on w, so it asks for ``space=w``.
        space: The space that is drawn in; the one that the generator's prior is defined in if not given.
        stream: Another word, other images, whatever the seed: what is held out of a training has one of its own.
    """

    block = CHUNK
    computes = True

    def __init__(
        self,
        generator: AbstractGenerator,
        count: int = 64,
        seed: int = 0,
        truncation: float = 1.0,
        space: str | None = None,
        stream: str = "samples",
    ) -> None:
        if count < 1:
            raise ValueError(f"data.count: {count} is not possible; set it to 1 or more")
        self.generator, self.count, self.seed, self.truncation = generator, count, seed, truncation
        self.space = space or generator.drawn
        generator.shape(self.space)
        self.stream = stream

    def __len__(self) -> int:
        return self.count

    def read(self, indices: Sequence[int]) -> Batch:
        indices = [range(self.count)[index] for index in indices]
        # Always whole chunks of the same size: convolutions round differently in batches of different sizes.
        chunks = {chunk: self._chunk(chunk) for chunk in sorted({index // CHUNK for index in indices})}
        latents, images = (
            torch.stack([chunks[index // CHUNK][part][index % CHUNK] for index in indices]) for part in (0, 1)
        )
        names = [self.name(index) for index in indices]
        lost = [name for name, image in zip(names, images, strict=True) if not image.isfinite().all()]
        return Batch(names, images, extras={"latent": latents}).without(dict.fromkeys(lost, LOST))

    def name(self, index: int) -> str:
        """What an image is called."""
        return f"sample-{index:06d}"

    def fingerprint(self) -> str:
        """SHA-256 of the generator's weights and of everything that decides what is drawn."""
        settings = f"{self.stream} {self.count} {self.seed} {self.truncation} {self.space}"
        return hashlib.sha256(f"{self.generator.fingerprint()} {settings}".encode()).hexdigest()

    def split(self, count: int) -> tuple["Samples", "Samples | None"]:
        """All of these, and ``count`` images of a stream that no training draws from."""
        if not count:
            return self, None
        return self, Samples(self.generator, count, self.seed, self.truncation, self.space, HELD_OUT)

    @exactly()  # a target is the same for runs of all precisions
    @torch.no_grad()
    def _chunk(self, chunk: int) -> tuple[Float[Tensor, "b ..."], Float[Tensor, "b c h w"]]:
        latents = torch.cat([self._latent(index) for index in range(chunk * CHUNK, (chunk + 1) * CHUNK)])
        return latents.cpu(), self.generator.synthesize(latents, self.space, "const").cpu()

    def _latent(self, index: int) -> Float[Tensor, "1 ..."]:
        rng = stream(self.stream, self.seed, index=index)
        return self.generator.sample(1, rng, self.truncation, self.space)
