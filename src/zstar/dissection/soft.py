"""How far each unit is to be moved for a class, learned (GAN Dissection's optimised α)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.dissection.base import Subject
from zstar.dissection.boxes import chance
from zstar.dissection.scenes import Scenes, picture
from zstar.dissection.units import UnitSet
from zstar.stats.streams import stream


@dataclass(frozen=True)
class Soft:
    """α ∈ [0, 1]^d for a class: what Adam finds on some samples (Bau et al. 2019, section 3.3).

    Minimised are the class's probability where it was, once the units are switched off everywhere; one less its
    probability in the boxes, once they are switched on there, read where they were switched on; what the rest of the
    picture changes by meanwhile; and the length of α. Of all units those with the largest α are kept, and learned once
    more without the others.

    Attributes:
        steps: Steps with all units; half as many follow with those that are kept.
        batch: Pictures a step, of each kind.
        lr: Step size; .01 as published, with 10 times the steps.
        sparsity: Weight of ‖α‖₂, .005 as published.
        keep: Weight of what changes elsewhere: each other class's pixels lost and gained over those that it has.
        off, on: Weights of the two effects.
    """

    steps: int = 60
    batch: int = 16
    lr: float = 0.05
    sparsity: float = 0.005
    keep: float = 0.5
    off: float = 1.0
    on: float = 1.0

    def learn(
        self,
        subject: Subject,
        whole: UnitSet,
        column: int,
        having: Scenes,
        boxed: tuple[Scenes, Float[Tensor, "m 1 h w"]],
        count: int,
    ) -> Float[Tensor, " d"]:
        """α of all units of the layer, of which ``count`` are above 0.

        Arguments:
            subject: The generator, and the segmenter that is learned from.
            whole: All units of the layer in order, with their values.
            column: The class.
            having: Samples that have the class, as the segmenter sees them.
            boxed: Samples with boxes to insert it in.
            count: How many units are kept.
        """
        first = self._descend(subject, whole, column, having, boxed, torch.full_like(whole.share, 0.5), self.steps)
        chosen = torch.zeros_like(first)
        chosen[first.topk(min(count, len(first))).indices] = 1
        second = self._descend(subject, whole, column, having, boxed, first * chosen, self.steps // 2)
        return second * chosen

    @torch.enable_grad()
    def _descend(
        self,
        subject: Subject,
        whole: UnitSet,
        column: int,
        having: Scenes,
        boxed: tuple[Scenes, Tensor],
        start: Tensor,
        steps: int,
    ) -> Tensor:
        rng, free = stream("pictures to learn units from", subject.seed, whole.layer, column), (start > 0).float()
        share = start.clone().requires_grad_()
        adam = torch.optim.Adam([share], lr=self.lr)
        for _ in range(steps):
            units = UnitSet(whole.layer, whole.shape, whole.units, share * free, whole.present, whole.absent)
            loss = self.sparsity * (share * free).norm()
            if self.off and len(having):
                rows = torch.randint(len(having), (self.batch,), generator=rng)
                loss = loss + self._off(subject, units, column, having[rows])
            if self.on and len(boxed[0]):
                rows = torch.randint(len(boxed[0]), (self.batch,), generator=rng)
                mask = subject.generator.bring(boxed[1][rows])
                images = picture(subject, boxed[0].latents[rows], units, 1.0, mask)
                loss = loss + self.on * (1 - chance(subject.segmenter, images, mask, column)).mean().cpu()
            (share.grad,) = torch.autograd.grad(loss, [share])
            adam.step()
            with torch.no_grad():
                share.clamp_(0, 1)
        return share.detach() * free

    def _off(self, subject: Subject, units: UnitSet, column: int, scenes: Scenes) -> Tensor:
        """What is left of the class where it was, and what changes elsewhere."""
        images = picture(subject, scenes.latents, units)
        logits = subject.segmenter.to(images.device).logits(images.clamp(-1, 1))
        chances, labels = logits.softmax(dim=1), scenes.labels.long().to(images.device)
        old = F.one_hot(labels, chances.shape[1]).movedim(-1, 1).float()
        place = old[:, column : column + 1]
        left = (chances[:, column] * place[:, 0]).sum() / place.sum().clamp_min(1)
        moved = ((chances - old).abs() * (1 - place)).sum(dim=(0, 2, 3))
        pixels = (old * (1 - place)).sum(dim=(0, 2, 3))
        others = (moved / pixels.clamp_min(1))[pixels >= len(labels)]  # of fewer than a pixel a picture nothing is said
        return (self.off * left + self.keep * others.mean()).cpu()
