"""How far each unit is to be moved for a class, learned (GAN Dissection's optimised α)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.dissection.base import Subject
from zstar.dissection.scenes import Scenes, picture
from zstar.dissection.units import UnitSet
from zstar.stats.streams import stream


@dataclass(frozen=True)
class Soft:
    """α ∈ [0, 1]^d for a class: what Adam finds on some samples (Bau et al. 2019, section 3.3).

    What removes a class and what inserts it are learned apart: they are not the same units, and one α for both changes
    more than it has to.

    Attributes:
        steps: Steps with all units; of those that remove a class, the ones with the largest α are kept then, and
            learned for half as many steps without the others.
        batch: Pictures a step.
        lr: Step size; .01 as published, with ten times the steps.
        sparsity: Weight of ‖α‖₂, .005 as published.
        keep: Weight of what changes elsewhere: the sum over the other classes of the pixels lost and gained over those
            that the class has.
    """

    steps: int = 40
    batch: int = 8
    lr: float = 0.1
    sparsity: float = 0.005
    keep: float = 0.5

    def off(self, subject: Subject, whole: UnitSet, column: int, having: Scenes, count: int) -> Float[Tensor, " d"]:
        """α of all units of a layer, of which ``count`` at most are above 0, with which a class goes where it is.

        Minimised are −log(1 − p) of the class where it was, once the units are switched off everywhere, and what that
        changes elsewhere.

        Arguments:
            subject: The generator, and the segmenter that is learned from.
            whole: All units of the layer in order, with their values.
            column: The class.
            having: Samples that have the class, as the segmenter sees them.
            count: How many units are kept.
        """

        def loss(units: UnitSet, rows: Tensor) -> Tensor:
            scenes = having[rows]
            images = picture(subject, scenes.latents, units)
            chances = subject.segmenter.to(images.device).logits(images.clamp(-1, 1)).softmax(dim=1)
            labels = F.one_hot(scenes.labels.long().to(images.device), chances.shape[1]).movedim(-1, 1).float()
            return left(chances, labels, column) + self.keep * changed(chances, labels, column)

        rng = stream("units off", subject.seed, whole.layer, column)
        free = torch.ones_like(whole.share)
        first = self._descend(loss, whole, len(having), 0.5 * free, free, self.steps, rng)
        free = torch.zeros_like(first)
        free[first.topk(min(count, len(first))).indices] = 1
        return self._descend(loss, whole, len(having), first, free, self.steps // 2, rng)

    def on(
        self, subject: Subject, whole: UnitSet, column: int, boxed: tuple[Scenes, Float[Tensor, "m 1 h w"]]
    ) -> Float[Tensor, " d"]:
        """Likewise with which a class comes where it is not, of any number of units: minimised is −log p of it in boxes
        in which they are switched on, read in these boxes. It begins with all units on: few units, moved far, draw what
        the segmenter sees and nobody else."""

        def loss(units: UnitSet, rows: Tensor) -> Tensor:
            mask = subject.generator.bring(boxed[1][rows])
            images = picture(subject, boxed[0].latents[rows], units, 1.0, mask)
            logits = subject.segmenter.to(images.device).logits(images.clamp(-1, 1))
            return -(logits.log_softmax(dim=1)[:, column] * mask[:, 0]).sum() / mask.sum()

        if not len(boxed[0]):  # there is nowhere to learn from
            return torch.zeros_like(whole.share)
        free, rng = torch.ones_like(whole.share), stream("units on", subject.seed, whole.layer, column)
        return self._descend(loss, whole, len(boxed[0]), free, free, self.steps, rng)

    @torch.enable_grad()
    def _descend(
        self,
        loss: Callable[[UnitSet, Tensor], Tensor],
        whole: UnitSet,
        samples: int,
        start: Tensor,
        free: Tensor,
        steps: int,
        rng: torch.Generator,
    ) -> Tensor:
        share = start.clone().requires_grad_()
        adam = torch.optim.Adam([share], lr=self.lr)
        for _ in range(steps):
            rows = torch.randint(samples, (self.batch,), generator=rng)
            total = loss(replace(whole, share=share * free), rows).cpu() + self.sparsity * (share * free).norm()
            (share.grad,) = torch.autograd.grad(total, [share])
            adam.step()
            with torch.no_grad():
                share.clamp_(0, 1)
        return share.detach() * free


def left(chances: Float[Tensor, "b k h w"], labels: Float[Tensor, "b k h w"], column: int) -> Float[Tensor, ""]:
    """The mean of −log(1 − p) of a class where it was; ``labels`` are 1 for the class that a pixel had."""
    place = labels[:, column]
    return (-(1 - chances[:, column]).clamp_min(1e-4).log() * place).sum() / place.sum().clamp_min(1)


def changed(chances: Float[Tensor, "b k h w"], labels: Float[Tensor, "b k h w"], column: int) -> Float[Tensor, ""]:
    """The sum over the other classes of the pixels lost and gained elsewhere, over those that the class had; of classes
    with fewer than a pixel a picture nothing is said."""
    elsewhere = 1 - labels[:, column : column + 1]
    moved = ((chances - labels).abs() * elsewhere).sum(dim=(0, 2, 3))
    pixels = (labels * elsewhere).sum(dim=(0, 2, 3))
    return (moved / pixels.clamp_min(1))[pixels >= len(labels)].sum()
