"""The protocol of image makers G."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from zstar.checkpoints import io
from zstar.checkpoints.identity import source
from zstar.config.reasons import Unfit
from zstar.generators.changes import change_map, require_known, weight_changes
from zstar.generators.hooks import hooked
from zstar.generators.own_weights import Rows, each
from zstar.generators.variables import Variables, part
from zstar.runs.precision import networks, single

Noise = str | dict[str, Tensor]
COLOURS = "wrap the network in one whose forward returns such images, e.g. without alpha, and use generator=module"


class AbstractGenerator(nn.Module, ABC):
    """An image maker G with named latent spaces.

    A generator is frozen and in ``eval()`` from its construction on; only the task that trains it wakes it.

    Attributes:
        resolution: Height and width of its images, in pixels.
        channels: Colour channels of its images, 3 or 1.
        spaces: Name of each latent space → shape of one latent in it. The first one is the space that is sampled.
        layers: Names of the feature layers, in the order of synthesis, that can be read and edited.
        convolutions: Names of the outputs of its convolutions, which can be too, where these are more.
        noise_shapes: Name of each noise map → its height and width in pixels; empty where G takes no noise.
        prior: What its latents are drawn from, in each coordinate: ``"normal"`` (0, 1), ``"uniform"`` on [−1, 1], or
            ``"truncated"``, a normal cut at ±2; None where all that is known of it are its samples.
        prior_scale: What such draws are multiplied by.
        normalizes: Whether sampled latents count by their direction alone; then the prior's mean, zero, is none.
        trained: False where the weights are random as yet: such a generator can be trained, and nothing else.
        batched_weights: Whether the layers take parameters with a batch in front of their shape, an image's own each.
        learned: Whether the weights come from pictures; False where the structure is all that it knows of them.
        linear: Whether its images are a linear function of the latent.
        classes: Number of classes of which each image has its own; 0 where G has none, or they are chosen for all.
        blocks: The modules, one behind the other, that make most of what a backward pass needs; empty if unknown.
        traits: Settings beside the weights that its images depend on, where they are not the usual ones; plain values.
    """

    resolution: int
    channels: int
    spaces: Mapping[str, tuple[int, ...]]
    layers: Sequence[str]
    convolutions: Sequence[str] = ()
    noise_shapes: Mapping[str, tuple[int, int]]
    prior: Literal["normal", "uniform", "truncated"] | None = "normal"
    prior_scale: float = 1.0
    normalizes: bool = False
    trained: bool = True
    learned: bool = True
    linear: ClassVar[bool] = False
    classes: int = 0
    batched_weights: ClassVar[bool] = False
    blocks: Sequence[nn.Module] = ()
    traits: Mapping[str, Any] = MappingProxyType({})
    condition: Tensor | None = None  # within ``conditioned``

    @abstractmethod
    def sample(
        self, n: int, rng: torch.Generator, truncation: float = 1.0, space: str | None = None
    ) -> Float[Tensor, "n ..."]:
        """Draw ``n`` latents from the prior, in ``space`` (default: the space that the prior is defined in)."""

    @abstractmethod
    def lift(self, latent: Float[Tensor, "b ..."], source: str, target: str) -> Float[Tensor, "b ..."]:
        """Carry latents from one space to a richer one, e.g. z → w → w_plus → style."""

    @abstractmethod
    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images of latents that have the shape of ``space``; the work of :meth:`synthesize`."""

    @abstractmethod
    def layer(self, name: str) -> nn.Module:
        """The module whose output is the feature map called ``name``."""

    def synthesize(
        self,
        latent: Float[Tensor, "b ..."],
        space: str,
        noise: Noise = "const",
        weights: Mapping[str, Tensor] | None = None,
        features: Mapping[str, Tensor] | None = None,
        factors: Mapping[str, Tensor] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Draw images in [−1, 1] (nominally, not clamped) from latents of ``space``.

        Arguments:
            latent: A batch of latents.
            space: Name of the space that they are in.
            noise: ``"none"``, ``"const"`` (the maps stored with the weights), ``"random"``, or a dict with a map
                ``[b, 1, h, w]`` for each name in ``noise_shapes``. Generators without noise ignore it.
            weights: Parameter → what each image adds to it, ``[b, *shape]``, or ``[1, *shape]`` for all images alike.
                The generator itself is not changed.
            features: Layer → what each image adds to its output, ``[b, c, h, w]``.
            factors: Layer → δ of the factors 1 + δ that each image's output is multiplied by before that.

        Raises:
            ValueError: The latents are not of ``space``, or there is no such parameter or layer.
        """
        if tuple(latent.shape[1:]) != self.shape(space):
            raise ValueError(f"latent: shape {tuple(latent.shape[1:])} is not that of {space}, {self.shape(space)}")
        weights, features, factors = weights or {}, features or {}, factors or {}
        alike = all(len(change) == 1 for change in weights.values())
        if weights and not self.batched_weights and not alike:
            rows = {"v": {"latent": latent}, "weights": weights, "features": features, "factors": factors}
            rows |= {"noise": {} if isinstance(noise, str) else noise}
            rows |= {"class": {} if self.condition is None else {"class": self.condition}}
            return each(self, partial(self._one, space, noise), len(latent), rows)
        own = self._changed(weights, alike)
        layers = {**features, **factors}
        edits = {layer: partial(change_map, features.get(layer), factors.get(layer)) for layer in layers}
        with self.editing(edits), networks(latent.device.type):
            return single(functional_call(self, own, (latent, space, noise)) if own else self(latent, space, noise))

    def _one(self, space: str, noise: Noise, row: Rows) -> Tensor:
        changes = (row["weights"], row["features"], row["factors"])
        with self.conditioned(row["class"].get("class")):
            return self.synthesize(row["v"]["latent"], space, row["noise"] or noise, *changes)

    def _changed(self, weights: Mapping[str, Tensor], alike: bool) -> dict[str, Tensor]:
        """The parameters of each image with their batch in front, or without one where all images have the same."""
        known = dict(self.named_parameters()) if weights else {}
        require_known(weights, known, type(self).__name__)
        own = {name: known[name] + change for name, change in weights.items()}
        return {name: value[0] for name, value in own.items()} if alike else own

    def render(self, v: Variables, space: str, noise: str = "const") -> Float[Tensor, "b c h w"]:
        """G(v): the images of latents of ``space``, with the noise maps, weights and features that belong to them.

        ``noise`` says which noise there is where v has no maps.
        """
        with self.conditioned(v.get("class")):
            maps, weights = part(v, "noise") or noise, weight_changes(v, self)
            return self.synthesize(v["latent"], space, maps, weights, part(v, "features"), part(v, "factors"))

    @contextmanager
    def conditioned(self, classes: Float[Tensor, "_ k"] | None) -> Iterator[None]:
        """Within the context, latents of the space that is sampled are of these classes (a row for each or one for all,
        how much of each class, together 1); ``None`` leaves it as it is."""
        if classes is None:
            yield
            return
        before, self.condition = self.condition, classes
        try:
            yield
        finally:
            self.condition = before

    def bring(self, value: Tensor) -> Tensor:
        """A tensor where the generator is; as it is, if the generator has no weights."""
        return value.to(next(self.parameters(), value).device)

    @property
    def any_class(self) -> Float[Tensor, "1 k"] | None:
        """All classes to equal parts, where each image has a class of its own."""
        return next(self.parameters()).new_full((1, self.classes), 1 / self.classes) if self.classes else None

    @property
    def drawn(self) -> str:
        """The space whose draws are pictures: the first, or the next one where its latents say nothing of a class."""
        return list(self.spaces)[1 if self.classes else 0]

    def free_weights(self, space: str) -> dict[str, Tensor]:
        """The parameters that images of latents of ``space`` depend on, by name: those that a gradient reaches."""
        own = {name: value.detach().requires_grad_() for name, value in self.named_parameters()}
        if not own:
            return {}
        latent = next(iter(own.values())).new_zeros(1, *self.shape(space))
        with torch.enable_grad(), self.conditioned(self.any_class):
            image = functional_call(self, own, (latent, space, "const"))
            reached = torch.autograd.grad(image.sum(), list(own.values()), allow_unused=True)
        return {name: value.detach() for (name, value), g in zip(own.items(), reached, strict=True) if g is not None}

    def shape(self, space: str) -> tuple[int, ...]:
        """Shape of one latent of ``space``; asking for a space that G lacks names the ones that it has."""
        if space not in self.spaces:
            raise Unfit(f"space: {type(self).__name__} has no space '{space}'; choose one of {', '.join(self.spaces)}")
        return tuple(self.spaces[space])

    @staticmethod
    def require_colours(key: str, channels: int) -> None:
        """Refuse images that are neither grey nor coloured: no data, metric or report knows others."""
        if channels not in (1, 3):
            raise ValueError(f"{key}: its images have {channels} channels and must have 1 (grey) or 3 (RGB); {COLOURS}")

    def require_trained(self, consequence: str) -> None:
        """Refuse random weights; ``consequence`` says what they would come to: ``there is nothing to edit``."""
        if not self.trained:
            raise ValueError(
                f"generator.checkpoint: without one the weights are random and {consequence}; set it to a file of "
                "weights, or choose generator=cottages"
            )

    def require_size(self, images: Float[Tensor, "b c h w"]) -> None:
        """Refuse images of another size or number of channels than those that G makes."""
        made, sizes = (self.channels, self.resolution, self.resolution), tuple(images.shape[1:])
        if sizes == made:
            return
        found, wanted = ("×".join(map(str, size)) for size in (sizes, made))
        fixes = [f"data.channels={made[0]}"] * (sizes[0] != made[0])
        fix = " and ".join(fixes + [f"data.resolution={made[1]}"] * (sizes[1:] != made[1:]))
        raise ValueError(
            f"data: its images are {found} and the generator makes {wanted}; set {fix}, or choose other data"
        )

    def freeze(self) -> "AbstractGenerator":
        """Set to ``eval()`` with no gradient to the weights; constructors end with it."""
        return self.eval().requires_grad_(False)

    @contextmanager
    def reading(self, *names: str) -> Iterator[dict[str, Tensor]]:
        """Within the context, each synthesis stores the outputs of the named layers in the dict it yields."""
        seen: dict[str, Tensor] = {}

        def store(name: str, output: Tensor) -> Tensor:
            seen[name] = output
            return output

        with hooked({self.layer(name): partial(store, name) for name in names}, first=False):
            yield seen

    def editing(self, edits: Mapping[str, Callable[[Tensor], Tensor]]) -> AbstractContextManager[None]:
        """Within the context, the output of each named layer is replaced by ``edit(output)``, which readers see."""
        return hooked({self.layer(name): edit for name, edit in edits.items()}, first=True)

    def fingerprint(self) -> str:
        """SHA-256 of all that images depend on: tells two generators apart in cards and tables.

        It is that of the weights (names, shapes, values) alone where there are neither ``traits`` nor code of a user.
        """
        weights, code = io.fingerprint(self), source(self)
        traits = {**self.traits, **({"source": code} if code else {})}
        if not traits:
            return weights
        return hashlib.sha256(f"{weights} {json.dumps(traits, sort_keys=True)}".encode()).hexdigest()
