"""What generators with a mapping network and one style code for each layer have in common."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.generators.adversarial import AbstractAdversarial
from zstar.generators.base import Noise

CHAIN = ("z", "w", "w_plus", "style")


class AbstractStyleBased(AbstractAdversarial):
    """A generator with the spaces z → w → w_plus → style, each lifted to the next.

    Attributes:
        z_dim: Length of z.
        num_ws: Rows of a latent of w_plus.
        style_sizes: Name of each layer with a style → length of that, in the order in which ``style`` has them.
    """

    normalizes = True
    z_dim: int
    num_ws: int
    style_sizes: Mapping[str, int]

    @property
    @abstractmethod
    def w_avg(self) -> Float[Tensor, " w"]:
        """The mean of w."""

    @abstractmethod
    def map_latent(self, z: Float[Tensor, "b z"], rng: torch.Generator | None = None) -> Float[Tensor, "b w"]:
        """z → w.

        Arguments:
            rng: What classes are drawn from where G has some and nothing says which; None where there are none to draw.
        """

    @abstractmethod
    def styles(self, w_plus: Float[Tensor, "b n w"]) -> dict[str, Tensor]:
        """The style ``[b, size]`` of each layer, by name."""

    @abstractmethod
    def affine(self, name: str) -> Float[Tensor, "outputs w"]:
        """The matrix that turns w into the style of a layer, without its bias."""

    def style_spaces(self, z_dim: int, w_dim: int) -> dict[str, tuple[int, ...]]:
        """The four spaces with their shapes."""
        size = sum(self.style_sizes.values())
        return {"z": (z_dim,), "w": (w_dim,), "w_plus": (self.num_ws, w_dim), "style": (size,)}

    def sample(
        self, n: int, rng: torch.Generator, truncation: float = 1.0, space: str | None = None
    ) -> Float[Tensor, "n ..."]:
        """``n`` draws; ``truncation`` ψ pulls w towards its mean, which no z can express.

        Where all classes are drawn, or each image has its own, each is drawn as often as any other, up to one.
        """
        space = space or self.drawn
        self.shape(space)
        z = torch.randn(n, self.z_dim, generator=rng, device=rng.device).to(self.w_avg.device, non_blocking=True)
        if space == "z":
            if truncation != 1:
                raise ValueError(
                    f"truncation: {truncation} acts on w and has no counterpart in z; choose space w or 1.0"
                )
            return z
        return self.lift(self.truncate(self.map_latent(z, rng), truncation), "w", space)

    def truncate(
        self, latent: Float[Tensor, "b *n w"], psi: float, cutoff: int | None = None
    ) -> Float[Tensor, "b *n w"]:
        """Pull latents of w or w_plus towards the mean; ``cutoff`` spares the rows of w_plus from it on."""
        if cutoff is not None and latent.ndim != 3:
            raise ValueError(f"cutoff: {cutoff} counts rows of w_plus; lift w to w_plus first")
        pulled = torch.lerp(self.w_avg, latent, psi)
        return pulled if cutoff is None else torch.cat([pulled[:, :cutoff], latent[:, cutoff:]], dim=1)

    def lift(self, latent: Float[Tensor, "b ..."], source: str, target: str) -> Float[Tensor, "b ..."]:
        self.shape(source), self.shape(target)
        start, end = CHAIN.index(source), CHAIN.index(target)
        if start > end:
            raise ValueError(f"space: {source} can't be lifted to {target}; the order is {' → '.join(CHAIN)}")
        if start <= 0 < end:
            latent = self.map_latent(latent)
        if start <= 1 < end:
            latent = latent[:, None].expand(-1, self.num_ws, -1)
        if start <= 2 < end:
            latent = self.join_style(self.styles(latent))
        return latent

    def split_style(self, style: Float[Tensor, "b s"]) -> dict[str, Tensor]:
        """A flat style vector → the style ``[b, size]`` of each layer, by name."""
        return dict(zip(self.style_sizes, style.split(list(self.style_sizes.values()), dim=1), strict=True))

    def join_style(self, styles: Mapping[str, Tensor]) -> Float[Tensor, "b s"]:
        """The styles of all layers → one flat vector per image."""
        return torch.cat([styles[name] for name in self.style_sizes], dim=1)

    def require_noise(self, noise: Noise) -> None:
        """Refuse a choice of noise that there is not, and maps that are not those of all layers."""
        if isinstance(noise, str) and noise not in ("none", "const", "random"):
            raise ValueError(f"noise: '{noise}' is unknown; choose none, const, random or a dict of maps")
        if isinstance(noise, dict) and set(noise) != set(self.noise_shapes):
            raise ValueError(
                f"noise: the maps are {', '.join(noise)}; give one for each of {', '.join(self.noise_shapes)}"
            )

    def styles_of(self, latent: Float[Tensor, "b ..."], space: str) -> dict[str, Tensor]:
        """The style of each layer of latents of any space."""
        return self.split_style(latent) if space == "style" else self.styles(self.lift(latent, space, "w_plus"))
