"""What generators have in common whose images depend on z and on the vector of a class."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.generators.adversarial import AbstractAdversarial
from zstar.generators.base import Noise

Label = int | Literal["all", "own"]
CUT = 2.0  # where a truncated normal ends


class AbstractClassConditional(AbstractAdversarial):
    """A generator of z and a class, which it sees as a vector of its embedding.

    Spaces: ``z`` [z_dim], whose latents are pictures only with a class, which is the one that ``label`` says, or a
    variable of its own, ``class``, shares of all classes; and ``z_class`` [z_dim + class_dim], z and a vector of the
    embedding's space side by side, any vector. With ``label="all"``, z is no space.

    Attributes:
        z_dim, class_dim: Lengths of z and of a class's vector.
        cut: Whether z is drawn between −2 and 2, before it is scaled.
    """

    z_dim: int
    class_dim: int
    cut: bool = False
    label: Tensor | None

    @abstractmethod
    def embed(self, classes: Float[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        """The vectors of classes: mixtures of those of single ones, by their shares."""

    @abstractmethod
    def draw(self, z: Float[Tensor, "b z"], y: Float[Tensor, "b d"]) -> Float[Tensor, "b c h w"]:
        """Images in [−1, 1] of z and of vectors of classes."""

    def condition_on(self, label: Label) -> dict[str, Any]:
        """Set the class, and with it the spaces; for constructors, which have set the lengths before.

        Returns:
            The trait that tells another class apart.
        """
        if not (label in ("all", "own") or (isinstance(label, int) and 0 <= label < self.c_dim)):
            choice = f"one of 0..{self.c_dim - 1}, all or own"
            raise ValueError(f"generator.label: {label} is no class of this network; choose {choice}")
        one = F.one_hot(torch.tensor([label]), self.c_dim).float() if isinstance(label, int) else None
        self.register_buffer("label", one, persistent=False)
        self.classes = self.c_dim if label == "own" else 0
        both = {"z": (self.z_dim,), "z_class": (self.z_dim + self.class_dim,)}
        self.spaces = {name: shape for name, shape in both.items() if label != "all" or name != "z"}
        if label == "all":
            self.prior = None
        self.noise_shapes = {}
        return {} if label == "own" else {"label": label}

    def sample(
        self, n: int, rng: torch.Generator, truncation: float = 1.0, space: str | None = None
    ) -> Float[Tensor, "n ..."]:
        """``n`` draws; ``truncation`` multiplies z, which leaves the class as it is.

        Of ``label="all"`` and ``label="own"``, each class is drawn as often as any other, up to one.
        """
        space = space or self.drawn
        self.shape(space)
        z = self.bring(self._normal(n, rng)) * (truncation * self.prior_scale)
        if space == "z":
            return z
        classes = self._classes()
        return self._join(z, self.draw_classes(n, rng) if classes is None else classes)

    def _normal(self, n: int, rng: torch.Generator) -> Float[Tensor, "n z"]:
        if not self.cut:
            return torch.randn(n, self.z_dim, generator=rng, device=rng.device)
        shares = torch.rand(n, self.z_dim, generator=rng, device=rng.device, dtype=torch.float64)
        inside = torch.erf(torch.tensor(CUT / 2**0.5, dtype=torch.float64)).item()
        return (2**0.5 * torch.erfinv((2 * shares - 1) * inside)).float().clamp(-CUT, CUT)

    def _classes(self) -> Float[Tensor, "_ c"] | None:
        return self.label if self.condition is None else self.condition

    def _join(self, z: Float[Tensor, "b z"], classes: Float[Tensor, "_ c"]) -> Float[Tensor, "b d"]:
        return torch.cat([z, self.embed(classes).expand(len(z), -1)], dim=1)

    def split(self, latent: Float[Tensor, "b d"]) -> Sequence[Tensor]:
        """z and the class's vector of a latent of z_class."""
        return latent.split([self.z_dim, self.class_dim], dim=1)

    def lift(self, latent: Float[Tensor, "b ..."], source: str, target: str) -> Float[Tensor, "b ..."]:
        """z with the vector of its class beside it, or the latent itself."""
        self.shape(source), self.shape(target)
        if source == target:
            return latent
        if source != "z":
            raise ValueError(f"space: {source} can't be lifted to {target}; the order is z → z_class")
        classes = self._classes()
        if classes is None:
            raise ValueError(
                "generator.label: with a class for each image, latents of z are no pictures without theirs; choose "
                "another space, or one class"
            )
        return self._join(latent, classes)

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images in [−1, 1]; there is no noise to choose."""
        return self.draw(*self.split(self.lift(latent, space, "z_class")))
