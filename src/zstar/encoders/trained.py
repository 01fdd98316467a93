"""Trained encoders, with the space and the generator that they belong to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import cards, io
from zstar.checkpoints.networks import load_network
from zstar.config.constraints import FilePath, Within, require
from zstar.config.reasons import Unfit
from zstar.encoders.base import AbstractEncoder, EncoderSpec
from zstar.encoders.module import Module
from zstar.runs.precision import networks, single
from zstar.spaces.base import AbstractSpace

MOST_ROWS = 1024  # of a latent; a file that asks for more would keep the machine busy with building heads
NEAREST = ("w_plus", "w")  # the only way down: a mean of rows


@dataclass(frozen=True)
class TrainedEncoder:
    """E with its place: x → v, in the space and for the generator that it was trained for.

    Attributes:
        network: The encoder, in ``eval()`` and without gradient to its weights.
        space: Name of the space of its latents.
        generator: Fingerprint of the generator; ``None`` if unknown, as for a network of one's own.
        name: Its name in messages.
        close: Applied to the latents of each pass: rows of an encoder in training may be closed.
        training: The losses that it was trained with, as in its configuration; empty if unknown.
    """

    network: AbstractEncoder
    space: str
    generator: str | None = None
    name: str = "encoder"
    close: Callable[[Tensor], Tensor] = lambda latent: latent
    training: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self, space: AbstractSpace, images: Float[Tensor, "b c h w"], passes: int | None = None
    ) -> list[Tensor]:
        """The latents of images in [−1, 1] after each pass, in ``space``; differentiable with respect to the images.

        Where the network's own space is poorer (z → w → w_plus → style), its latents are lifted. Latents of w_plus
        come to w as the mean of their rows, the nearest point that w has.
        """
        network, generator = self.network, space.generator
        passes = passes or network.passes
        if passes > 1 and not network.iterative:
            kind = type(network).__name__
            raise Unfit(f"projector.encoder.passes: {kind} finds in {passes} passes what it finds in 1; set it to 1")
        latent, latents = network.mean.to(images.device).expand(len(images), *network.shape), []
        for _ in range(passes):
            image = generator.synthesize(latent, self.space) if network.iterative else None
            with networks(images.device.type):
                found = network(images, latent, image)
            latent = self.close(single(found))
            latents.append(latent)
        if (self.space, space.name) == NEAREST:
            latents = [latent.mean(dim=1) for latent in latents]
        elif self.space != space.name:
            latents = [generator.lift(latent, self.space, space.name) for latent in latents]
        return [space.constrain(latent) for latent in latents]

    def syntheses(self, passes: int | None = None) -> int:
        """How often it runs the generator to give latents: one that compares does so before each of its passes."""
        return (passes or self.network.passes) if self.network.iterative else 0

    def fingerprint(self) -> str:
        """SHA-256 of the weights."""
        return io.fingerprint(self.network)

    def incompatibility(self, space: AbstractSpace) -> str | None:
        """The reason why this network can't serve ``space``, or ``None`` if it can."""
        generator = space.generator
        if self.network.any_size and self.space == space.name == "pixels":
            kinds = {1: "grey", 3: "coloured"}
            own, given = self.network.channels, generator.channels
            return None if own == given else f"{self.name} takes {kinds[own]} images and these are {kinds[given]}"
        sizes = (generator.channels, generator.resolution)
        if self.generator is not None and self.generator != generator.fingerprint():
            return f"{self.name} was trained for another generator"
        if (self.network.channels, self.network.resolution) != sizes:
            return (
                f"{self.name} sees {self.network.channels}×{self.network.resolution}×{self.network.resolution} images"
            )
        names = list(generator.spaces)
        downwards = self.space in names and names.index(self.space) > names.index(space.name)
        if self.space not in names or (downwards and (self.space, space.name) != NEAREST):
            return f"{self.name} gives latents of {self.space}, which are no latents of {space.name}"
        if self.network.shape != generator.shape(self.space):
            return f"{self.name} gives latents of shape {self.network.shape}"
        return None

    def require_compatible(self, space: AbstractSpace) -> "TrainedEncoder":
        """This network; an error that says why, where it can't serve ``space``."""
        if reason := self.incompatibility(space):
            train = f"python train.py task=encoder space={space.name}"
            raise Unfit(
                f"encoder: {reason}; train one for this generator with {train}, or choose projector=[mean,optimization]"
            )
        return self


def load_encoder(
    checkpoint: FilePath | Path,
    network: Callable[..., AbstractEncoder] | None = None,
    space: AbstractSpace | None = None,
    style: int | None = None,
) -> TrainedEncoder:
    """An encoder that ``task=encoder`` exported, frozen.

    Arguments:
        checkpoint: A safetensors file with its JSON card beside it, or the name of a shipped one.
        network: A node with ``_partial_: true`` for an encoder class of one's own; a card can name classes of this
            package only.
        space: The space to check it against; ``None`` for no check.
        style: Which of its styles a network from pictures to pictures gives, counted from 0; ``None`` mixes them all.

    Raises:
        ValueError: The card is missing or not that of an encoder, asks for something that it may not, or the encoder
            does not fit ``space``; one sentence with the path.
    """
    trained, card = load_network(checkpoint, "encoder", partial(_describe, network))
    trained.to(memory_format=torch.channels_last)
    set_style(trained, style)
    config = card.get("config")
    losses = config.get("loss") if isinstance(config, dict) else None
    training = {n: node for n, node in losses.items() if isinstance(node, dict)} if isinstance(losses, dict) else {}
    encoder = TrainedEncoder(trained, card["space"], card["generator"], Path(checkpoint).stem, training=training)
    return encoder if space is None else encoder.require_compatible(space)


def set_style(network: AbstractEncoder, style: int | None) -> None:
    """Choose one of the styles that a network has."""
    if style is None:
        return
    count = getattr(network, "styles", 1)
    if not 0 <= style < count:
        raise ValueError(f"encoder.style: {style} is none of the {count} styles of this network; count from 0")
    if count > 1:
        network.style = torch.nn.functional.one_hot(torch.tensor([style]), count).float()


def _describe(
    network: Callable[..., AbstractEncoder] | None, card: dict[str, Any], weights: dict[str, Tensor]
) -> tuple[Callable[..., AbstractEncoder], dict[str, Any]]:
    """The class of an encoder, which is ``network`` or what the card names, and its arguments."""
    spec = {"spec": _spec(card, weights)}
    if network is not None:
        return network, spec
    kind, settings = cards.network(card.get("network"), AbstractEncoder, ("spec",))
    return kind, settings | spec


def find_encoder(space: AbstractSpace) -> TrainedEncoder | None:
    """The shipped encoder for this generator and space, of several that of this space, else of the richest; or none."""
    fingerprint: str | None = None
    encoders: list[TrainedEncoder] = []
    for path in io.all_shipped():
        card = io.read_card(path)
        if card.get("kind") == "encoder" and card.get("space") != "pixels":  # which inverts nothing
            fingerprint = fingerprint or space.generator.fingerprint()
            if card.get("generator") == fingerprint:
                encoder = load_encoder(path)
                encoders += [] if encoder.incompatibility(space) else [encoder]
    order = list(space.generator.spaces)
    return max(encoders, key=lambda one: (one.space == space.name, order.index(one.space)), default=None)


def own_encoder(
    space: AbstractSpace,
    network: nn.Module,
    latents: str = "z",
    checkpoint: FilePath | None = None,
    checkpoint_key: str | None = None,
    input_range: Sequence[float] = (-1.0, 1.0),
    output: int | str | None = None,
) -> TrainedEncoder:
    """An encoder that this package has not trained: the one that came with the generator, or one of your own.

    Arguments:
        space: The space that it is for.
        latents: The space of the generator that its latents are in; they are lifted where ``space`` is a richer one.
        network, checkpoint, checkpoint_key, input_range, output: As for :class:`zstar.encoders.module.Module`.

    Raises:
        ValueError: There is no such space, or the network does not fit the generator; one sentence with the key.
    """
    generator = space.generator
    if latents not in generator.spaces:
        choice = ", ".join(generator.spaces)
        raise Unfit(f"encoder.latents: the generator has no space '{latents}'; choose one of {choice}")
    shape = generator.shape(latents)
    spec = EncoderSpec(generator.resolution, generator.channels, shape, torch.zeros(shape), 1.0)
    encoder = Module(spec, network, checkpoint, checkpoint_key, input_range, output)
    return TrainedEncoder(encoder, latents, None, type(network).__name__).require_compatible(space)


def _spec(card: dict[str, Any], weights: dict[str, Tensor]) -> EncoderSpec:
    """The images and latents of an encoder, from its card and its buffers."""
    sizes = {name: card.get(name) for name in ("resolution", "channels")}
    for name, value in sizes.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{name} is {repr(value)[:40]} and must be a whole number")
        require("encoder", Within(1, 2**16), **{name: value})
    if not isinstance(card.get("space"), str) or not isinstance(card.get("generator"), str):
        raise ValueError("space and generator must be names")
    if "mean" not in weights or "spread" not in weights:
        raise ValueError("the weights have no mean and spread")
    mean, spread = weights["mean"], weights["spread"]
    if not 1 <= mean.ndim <= 3 or not mean.numel() or (mean.ndim == 2 and len(mean) > MOST_ROWS) or spread.ndim:
        raise ValueError(f"mean {tuple(mean.shape)} and spread {tuple(spread.shape)} are those of no latents")
    return EncoderSpec(**sizes, shape=tuple(mean.shape), mean=mean.float(), spread=float(spread))
