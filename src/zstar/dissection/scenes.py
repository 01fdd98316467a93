"""Samples with the class of each pixel, and pictures of them with something changed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int16, Int64
from torch import Tensor

from zstar.dissection.base import Purpose, Subject
from zstar.dissection.units import UnitSet
from zstar.generators.base import AbstractGenerator
from zstar.segmenters.base import AbstractSegmenter

LEAST = 0.002  # share of a picture that a class covers where it is present: 8 pixels of 64×64


@dataclass(frozen=True)
class Scenes:
    """Samples and what someone sees in their pictures, on the CPU.

    Attributes:
        latents: The samples.
        labels: The class of each pixel.
    """

    latents: Float[Tensor, "n ..."]
    labels: Int16[Tensor, "n h w"]

    def __len__(self) -> int:
        return len(self.latents)

    def __getitem__(self, rows: slice | Tensor) -> "Scenes":
        return Scenes(self.latents[rows], self.labels[rows])

    def having(self, column: int, count: int | None = None, least: float = LEAST) -> "Scenes":
        """The first ``count`` in which a class covers at least ``least`` of the picture."""
        return self[self.present(column, least).nonzero().flatten()[:count]]

    def present(self, column: int, least: float = LEAST) -> Bool[Tensor, " n"]:
        """Whether a class covers at least ``least`` of each picture."""
        return (self.labels == column).float().mean(dim=(1, 2)) >= least

    def batches(self, size: int) -> Iterator["Scenes"]:
        """A few at a time."""
        for first in range(0, len(self), size):
            yield self[first : first + size]


class Aligned(AbstractSegmenter):
    """A segmenter that is asked for the classes of another one alone, in their order.

    Arguments:
        inner: The segmenter, which has them all.
        other: Whose classes they are.
    """

    def __init__(self, inner: AbstractSegmenter, other: AbstractSegmenter) -> None:
        super().__init__()
        self.inner, self.classes, self.kinds = inner, list(other.classes), other.kinds
        self.columns = [inner.column(name, "judge") for name in self.classes]

    def logits(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        return self.inner.logits(images)[:, self.columns]

    def require_images(self, generator: AbstractGenerator) -> None:
        self.inner.require_images(generator)


def aligned(subject: Subject) -> Subject:
    """The subject with a judge that has the segmenter's classes in their order.

    Raises:
        ValueError: The judge lacks one.
    """
    if list(subject.judge.classes) == list(subject.segmenter.classes):
        return subject
    return replace(subject, judge=Aligned(subject.judge, subject.segmenter))


@torch.no_grad()
def draw_scenes(subject: Subject, purpose: Purpose, reader: AbstractSegmenter, count: int | None = None) -> Scenes:
    """The samples of a purpose, as ``reader`` sees their pictures."""
    latents, labels = [], []
    for latent in subject.latents(purpose, count):
        latents.append(latent.cpu())
        labels.append(see(reader, picture(subject, latent)).to(torch.int16).cpu())
    return Scenes(torch.cat(latents), torch.cat(labels))


def picture(
    subject: Subject,
    latent: Float[Tensor, "b ..."],
    units: UnitSet | None = None,
    strength: float = -1.0,
    mask: Float[Tensor, "_ 1 _ _"] | None = None,
) -> Float[Tensor, "b c h w"]:
    """Pictures of samples with units moved by one strength; differentiable in their shares."""
    generator = subject.generator
    if subject.drawn is not None:
        subject.drawn(len(latent))
    v = {"latent": generator.bring(latent)}
    if units is not None:
        v = units.change(v, v["latent"].new_full((len(latent),), strength), mask)
    return generator.render(v, subject.space)


def see(reader: AbstractSegmenter, images: Float[Tensor, "b c h w"]) -> Int64[Tensor, "b h w"]:
    """The class of each pixel."""
    return reader.to(images.device)(images)


def count_pixels(labels: Tensor, classes: int) -> Float[Tensor, "n k"]:
    """Pixels of each class in each picture; labels below 0 count nowhere."""
    n = len(labels)
    place = labels.long().flatten(1) + classes * torch.arange(n, device=labels.device)[:, None]
    found = torch.bincount(place[labels.flatten(1) >= 0], minlength=n * classes)
    return found.view(n, classes).float().cpu()
