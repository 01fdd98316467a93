"""GANSpace: principal components of w, or of a feature layer."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import Within, require
from zstar.directions.base import AbstractFinder, Label
from zstar.directions.linear import Linear
from zstar.directions.principal import StreamedCovariance, in_rows, in_units_of, signed, sorted_eigenvectors
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import stream

KEY, WIDEST, CHUNK = "direction.ganspace", 4096, {False: 10_000, True: 32}


class GANSpace(AbstractFinder):
    """Principal components, without any labels (Härkönen et al. 2020, https://arxiv.org/abs/2004.02546).

    Principal components of w, exact, from a streamed covariance; or, with ``layer``, of that layer's activations, each
    carried to the latents by least squares, U = argmin ‖U·a − v‖². Choose a layer where the prior is the same in every
    direction, as in z. Directions are ``ganspace_0``, ``ganspace_1``, … in the order of variance; α = 1 is one
    standard deviation of the prior along the vector. (Published edits set the absolute coordinate to α; this adds α.)
    The sign is such that the coordinate of largest magnitude is positive. Scores: ``explained``, the share of variance.

    A layer of more than 4,096 activations is first averaged over square cells of pixels until it has no more.

    Arguments:
        components: Number of directions.
        samples: How many samples; None for 100,000 of w and 10,000 of a layer.
        layer: A feature layer of the generator, such as ``b8``; None for the latents themselves.
        rows: First and last row of w_plus to move, such as ``[0, 3]``; None for all. The directions are in w_plus then.
        seed: Of the samples.

    Raises:
        ValueError: The space has no principal components that mean anything, or there is no such layer or row.
    """

    def __init__(
        self,
        components: int = 10,
        samples: int | None = None,
        layer: str | None = None,
        rows: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        require(KEY, Within(1), components=components)
        require(KEY, Within(2), samples=2 if samples is None else samples)
        self.components, self.layer, self.seed = components, layer, seed
        self.samples = samples or (10_000 if layer else 100_000)
        self.rows = None if rows is None else list(rows)
        self.candidates = [f"ganspace_{index}" for index in range(components)]

    def find(self, space: AbstractSpace) -> dict[str, Linear]:
        source = self._source(space)
        moments = StreamedCovariance()
        for latents, activations in self._stream(space, source):
            moments.add(activations, latents)
        covariance, count = moments.covariance, self.components
        if count > min(len(covariance), self.samples - 1):
            most = min(len(covariance), self.samples - 1)
            raise ValueError(f"{KEY}.components: there are {most} of them and not {count}; lower it, or raise samples")
        values, vectors = sorted_eigenvectors(covariance, count)
        if (still := int((values <= 1e-10 * values[0]).sum())) > 0:
            raise ValueError(f"{KEY}.components: only {count - still} of {count} vary at all; lower it")
        if self.layer:
            moved = (moments.cross @ vectors.T / values).T
        else:
            moved = vectors * values[:, None].sqrt()
        settings = {"method": "ganspace", "layer": self.layer, "rows": self.rows, "samples": self.samples}
        directions = {}
        for index, vector in enumerate(moved):
            label = Label(
                meaning=f"principal component {index} of {self.layer or source}",
                found=settings,
                scores={"explained": float(values[index] / covariance.trace())},
            )
            directions[f"ganspace_{index}"] = self._direction(space, source, signed(vector), label)
        return directions

    def _source(self, space: AbstractSpace) -> str:
        """The space whose latents are moved, before they go into rows of w_plus."""
        generator, name = space.generator, space.name
        layered = name in ("w", "w_plus")
        if self.rows is not None:
            last = generator.shape("w_plus")[0] - 1 if layered else -1
            if not layered or len(self.rows) != 2 or not 0 <= self.rows[0] <= self.rows[1] <= last:
                fix = f"two of 0 to {last}, such as [0, {last}]" if layered else "null, or choose space=w_plus"
                raise ValueError(f"{KEY}.rows: {self.rows} are no rows of {name}; set it to {fix}")
        if self.layer is None and generator.prior and name == next(iter(generator.spaces)):
            choice = f"{KEY}.layer to one of {', '.join(generator.layers)}" if generator.layers else "generator.layers"
            other = ", or choose space=w" if "w" in generator.spaces else ""
            raise ValueError(
                f"{KEY}.layer: the prior of {name} is alike in all directions, and no component stands out; "
                f"set {choice}{other}"
            )
        source = "w" if layered else name
        size = generator.shape(source)
        if self.layer is None and (wide := torch.Size(size).numel()) > WIDEST:
            raise ValueError(f"{KEY}: {source} has {wide} dimensions, and {WIDEST} can be analysed; choose space=w")
        if self.layer is not None:
            generator.layer(self.layer)  # says which there are
        return source

    @torch.no_grad()
    def _stream(self, space: AbstractSpace, source: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Flat latents with flat activations, in batches."""
        generator, rng = space.generator, stream("samples of ganspace", self.seed)
        left, chunk = self.samples, CHUNK[bool(self.layer)]
        while left:
            latents = generator.sample(min(chunk, left), rng, space=source)
            left -= len(latents)
            activations = latents
            if self.layer:
                with generator.reading(self.layer) as features:
                    generator.synthesize(latents, source)
                activations = averaged(features[self.layer])
            yield latents.flatten(1).cpu(), activations.flatten(1).cpu()

    def _direction(self, space: AbstractSpace, source: str, vector: Tensor, label: Label) -> Linear:
        generator = space.generator
        vector = vector.view(generator.shape(source)).float()
        if self.layer:
            vector = in_units_of(space, vector)
        if source == space.name and self.rows is None:
            return Linear(source, vector, label)
        rows = None if self.rows is None else list(range(self.rows[0], self.rows[1] + 1))
        return Linear("w_plus", in_rows(generator, vector, rows), label)


def averaged(activations: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
    """Maps averaged over cells of pixels, as small as the limit allows; anything else as it is."""
    if activations.ndim != 4:
        return activations
    size = activations.shape[-1]
    sizes = [side for side in range(size, 0, -1) if size % side == 0 and activations.shape[1] * side**2 <= WIDEST]
    return activations if not sizes or sizes[0] == size else F.adaptive_avg_pool2d(activations, sizes[0])
