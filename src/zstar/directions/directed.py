"""Images of a generator before and after an edit."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch

from zstar.config.constraints import FilePath
from zstar.config.signatures import nearest
from zstar.data.base import AbstractData, Batch
from zstar.data.samples import HELD_OUT, Samples
from zstar.directions.library import load_directions
from zstar.generators.base import AbstractGenerator
from zstar.runs.precision import exactly


class Directed(AbstractData):
    """Samples of a generator after a step along one of its directions, with the samples themselves as the target
    ``source``: pairs from which a network learns the edit, to do it in one pass and without the generator.

    Arguments:
        network: The generator that draws them.
        direction: A file of directions, or the name of a shipped one.
        name: Which of them.
        alpha: Length of the step, in the direction's unit.
        count: Number of images. Nothing is stored, so a training can have as many as it looks at: steps × batch.
        seed: Other seeds, other images.
        stream: Another word, other images, whatever the seed.

    Raises:
        ValueError: There is no such direction, or it is of another generator.
    """

    computes = True
    targets = ("source",)

    def __init__(
        self,
        network: AbstractGenerator,
        direction: FilePath,
        name: str,
        alpha: float,
        count: int = 64,
        seed: int = 0,
        stream: str = "samples",
    ) -> None:
        self.samples = Samples(network, count, seed, stream=stream)
        self.block, self.path, self.name, self.alpha = self.samples.block, direction, name, float(alpha)
        known = load_directions(direction, network)
        if name not in known:
            raise ValueError(f"data.name: there is no direction '{name}' in {direction}; {nearest(name, known)}")
        self.direction = known[name]

    def __len__(self) -> int:
        return len(self.samples)

    @exactly()
    @torch.no_grad()
    def read(self, indices: Sequence[int]) -> Batch:
        batch, network = self.samples.read(indices), self.samples.generator
        before = {"latent": network.bring(batch.extras["latent"])}
        strengths = torch.full((len(batch.ids),), self.alpha, device=before["latent"].device)
        after, space = self.direction.carry(network, before, self.samples.space, strengths)
        images = network.render(after, space).cpu().clamp(-1, 1)
        return replace(batch, images=images, extras={"source": batch.images.clamp(-1, 1)})

    def fingerprint(self) -> str:
        """SHA-256 of the samples and of the step."""
        digest = hashlib.sha256(f"{self.samples.fingerprint()} {self.name} {self.alpha}".encode())
        for name, tensor in sorted(self.direction.pack()[0].items()):
            digest.update(f"{name}{tuple(tensor.shape)}".encode() + tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def split(self, count: int) -> tuple["Directed", "Directed | None"]:
        """All of these, and ``count`` of a stream that no training draws from."""
        if not count:
            return self, None
        made = self.samples
        held = Directed(made.generator, self.path, self.name, self.alpha, count, made.seed, HELD_OUT)
        return self, held
