"""The protocol of spaces v: where the argument of the equation lives."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import Within, require
from zstar.generators.base import AbstractGenerator, Noise
from zstar.runs.precision import exactly
from zstar.spaces.typical import typical
from zstar.stats.streams import chunks, stream

ESTIMATES: dict[tuple[Hashable, ...], Any] = {}
EXACT = {"normal": 1.0, "uniform": 3**-0.5, "truncated": 0.8796256610342398}  # deviation of each coordinate; mean 0


class AbstractSpace(ABC):
    """A latent space of a generator: where to start, how to decode, what is likely, and what is allowed.

    Attributes:
        name: Of G's latent space that latents are in.
        title: What results call it, if not by that name.
        maps: Name of each feature layer to whose map a point of the space adds something of its own → shape of that.
        map_rates: Step size of what is added to each of them, over that of the optimizer.
        fixed_rows: So many first rows of a latent, or coordinates of one without rows, stay where they are in a
            search from a start.

    Arguments:
        generator: The fixed generator G.
        prior_samples: Number of samples that the prior statistics are estimated from, where they are not known exactly:
            the space that G samples from needs none.
    """

    name: str
    title: str = ""
    maps: Mapping[str, tuple[int, ...]] = MappingProxyType({})
    map_rates: Mapping[str, float] = MappingProxyType({})
    fixed_rows: int = 0

    def __init__(self, generator: AbstractGenerator, prior_samples: int = 10_000) -> None:
        require("space", Within(2), prior_samples=prior_samples)
        self.generator = generator
        self.prior_samples = prior_samples
        self.shape = generator.shape(self.name)

    @abstractmethod
    def constrain(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The nearest latent inside the space; the identity where every latent is allowed."""

    def hold(self, latent: Float[Tensor, "b ..."], at: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Latents with the rows that stay as they are in ``at``."""
        rows = self.fixed_rows
        return torch.cat([at[:, :rows], latent[:, rows:]], dim=1) if rows else latent

    def sample(self, n: int, rng: torch.Generator, truncation: float = 1.0) -> Float[Tensor, "n ..."]:
        """``n`` draws from the prior."""
        return self.generator.sample(n, rng, truncation, self.name)

    def start(self, n: int, classes: Float[Tensor, "n k"] | None = None) -> Float[Tensor, "n ..."]:
        """Default starting point of an optimisation, brought into the space, ``n`` times: the prior mean, or that
        of the class of each image.

        Where G does not see the length of a latent, the mean, zero, is no latent: the picture beside it is an arbitrary
        one, and every step turns it about. There it is a latent of the prior's length whose style is nearest to the
        mean style, which is where published methods begin in w.
        """
        if classes is None:
            return self.constrain(self.origin.expand(n, *self.shape).clone())
        each, places = classes.unique(dim=0, return_inverse=True)
        found = []
        for row in each:
            with self.generator.conditioned(row[None]):
                found.append(self._origin())
        return self.constrain(torch.stack(found)[places])

    def start_class(self, n: int, classes: Float[Tensor, "n k"] | None = None) -> dict[str, Float[Tensor, "n k"]]:
        """Variable ``class`` to begin with, where there is one: shares that are together 1, those of the class of each
        image where it is known, else all alike."""
        if not self.needs_class:
            return {}
        return {"class": (self.generator.any_class if classes is None else classes).expand(n, -1).clone()}

    def decode(self, latent: Float[Tensor, "b ..."], noise: Noise = "const") -> Float[Tensor, "b c h w"]:
        """G(v): images in [−1, 1], not clamped."""
        return self.generator.synthesize(latent, self.name, noise)

    @cached_property
    def origin(self) -> Float[Tensor, "..."]:
        """What :meth:`start` repeats, before it is brought into the space."""
        return self._origin()

    def _origin(self) -> Float[Tensor, "..."]:
        if not (self._sampled and self.generator.normalizes):
            return self._mean_and_spread()[0]
        with self.generator.conditioned(self.generator.any_class if self.generator.condition is None else None):
            return self._once("typical", lambda: typical(self.generator, self.prior_samples)).clone()

    @property
    def needs_class(self) -> bool:
        """Whether a latent is a picture only together with a class of its own, which is then a variable of v."""
        return self.generator.classes > 0 and self.name != self.generator.drawn and self._sampled

    @property
    def _sampled(self) -> bool:
        """Whether the generator's prior is defined here, coordinate by coordinate."""
        return self.generator.prior is not None and self.name == next(iter(self.generator.spaces))

    @cached_property
    def _moments(self) -> tuple[Tensor, float]:
        """Mean and spread, estimated where they are not known."""
        return self._mean_and_spread()

    def _mean_and_spread(self) -> tuple[Tensor, float]:
        if self._sampled:
            deviation = EXACT[self.generator.prior] * self.generator.prior_scale
            return self.generator.bring(torch.zeros(self.shape)), deviation
        mean, spread = self._once("moments", self._estimate)
        return mean.clone(), spread

    @exactly()  # or a run would take what one of another precision has estimated
    def _once(self, what: str, estimate: Callable[[], Any]) -> Any:
        """An estimate, made once per process: each cell of a sweep has a generator object of its own."""
        probe = self.sample(2, stream("probe of a prior", 0))  # tells apart what no weights do, such as classes
        own = (type(self.generator), self.generator.fingerprint(), self.name, self.prior_samples, str(probe.device))
        condition = [] if self.generator.condition is None else self.generator.condition.flatten().tolist()
        drawn = hashlib.sha256(probe.cpu().numpy().tobytes()).hexdigest()  # latents may be as large as images
        key = (what, *own, drawn, *condition)
        if key not in ESTIMATES:
            ESTIMATES[key] = estimate()
        return ESTIMATES[key]

    def _estimate(self) -> tuple[Tensor, float]:
        # Streamed in chunks: ten thousand style vectors of a large generator do not fit in memory at once.
        rng, count = stream("statistics of a prior", 0), 0
        total = square = torch.zeros((), dtype=torch.float64)
        for size in chunks(self.prior_samples, 1000):
            with torch.no_grad():
                chunk = _without_copies(self.sample(size, rng)).double()
            total, square, count = total + chunk.sum(dim=0), square + chunk.square().sum(dim=0), count + len(chunk)
        mean = total / count
        spread = (square / count - mean.square()).clamp_min(0).mean().sqrt().item()
        return mean.float().expand(self.shape).contiguous(), spread

    @property
    def mean(self) -> Float[Tensor, "..."]:
        """Mean of the prior, in the shape of one latent."""
        return self._moments[0]

    @property
    def spread(self) -> float:
        """Root mean squared distance of a prior sample from the mean, per coordinate."""
        return self._moments[1]


def _without_copies(latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
    """Where all rows are one row in memory, as those of a code of w in w_plus, that one: their moments are the same."""
    for dim, stride in enumerate(latent.stride()[1:], start=1):
        if stride == 0:
            latent = latent.narrow(dim, 0, 1)
    return latent
