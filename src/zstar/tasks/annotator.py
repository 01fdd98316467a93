"""Training of an annotator on images with exact masks and factors."""

from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional as F

from zstar.annotators.base import AbstractAnnotator
from zstar.annotators.vocabulary import Vocabulary
from zstar.config.build import build, to_plain
from zstar.config.constraints import POSITIVE, Within, require
from zstar.data.base import AbstractData
from zstar.data.cottage_vocabulary import cottage_vocabulary
from zstar.tasks.base import AbstractTask


def roughen(images: Float[Tensor, "b c h w"], rng: torch.Generator, strength: float) -> Float[Tensor, "b c h w"]:
    """Noise, blur and brightness, each of another amount in each image: the faults of generated images."""
    amount = torch.rand(4, len(images), 1, 1, 1, generator=rng, device=rng.device)
    noise = torch.randn(images.shape, generator=rng, device=rng.device)
    soft = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    mixed = torch.lerp(images, soft, amount[0].square())
    shifted = mixed * (1 + 0.2 * strength * (amount[1] - 0.5)) + 0.2 * strength * (amount[2] - 0.5)
    return (shifted + 0.2 * strength * amount[3].square() * noise).clamp(-1, 1)


class AnnotatorTask(AbstractTask):
    """Cross entropy to the soft masks plus the distance of the factors; AdamW with a one-cycle rate.

    Arguments:
        annotator: The network to train.
        vocabulary: The meaning of its outputs.
        network: The configuration that builds the network, for its card.
        lr: Peak learning rate; it rises over the first twentieth of the steps and falls to zero as a cosine.
        factor_weight: Weight of the factors beside the classes.
        roughness: Strength of the augmentation; 0 trains on clean images only.
        steps: Steps in all.
        batch: Images per step.
        seed: Seed of the augmentation.
        log_every: Steps between two log entries.
    """

    groups = ("annotator",)
    kind = "annotator"

    def __init__(
        self,
        annotator: AbstractAnnotator,
        vocabulary: Vocabulary,
        network: dict[str, Any] | None = None,
        lr: float = 3e-3,
        weight_decay: float = 1e-2,
        factor_weight: float = 5.0,
        roughness: float = 1.0,
        steps: int = 2000,
        batch: int = 48,
        seed: int = 0,
        log_every: int = 50,
    ) -> None:
        super().__init__(steps, batch, seed, log_every)
        require("task", POSITIVE, lr=lr)
        require("task", Within(0), weight_decay=weight_decay, factor_weight=factor_weight, roughness=roughness)
        self.annotator = annotator.train().requires_grad_(True)
        self.vocabulary, self.network = vocabulary, network
        self.lr, self.factor_weight, self.roughness = lr, factor_weight, roughness
        self.optimizer = torch.optim.AdamW(annotator.parameters(), lr=lr, weight_decay=weight_decay)
        self.parts = {"annotator": annotator, "optimizer": self.optimizer}

    @classmethod
    def compose(cls, cfg: DictConfig) -> "AnnotatorTask":
        """The task that a composed configuration describes, with the classes and factors of the cottages."""
        vocabulary = cottage_vocabulary()
        sizes = {"classes": len(vocabulary.classes), "factors": len(vocabulary.factors)}
        annotator = build({**cfg.annotator, "_partial_": False}, at="annotator", **sizes)
        annotator.to(memory_format=torch.channels_last)
        objects = {"annotator": annotator, "vocabulary": vocabulary, "network": to_plain(cfg.annotator)}
        return build(cfg.task, at="task", **objects, seed=cfg.seed)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        warm = min(1.0, (step + 1) / max(1, self.steps // 20))
        return self.lr * warm * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / self.steps)).item())

    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of AdamW."""
        if not {"masks", "factors"} <= set(batch):
            raise ValueError("data: its images have no masks and factors to learn from; choose data=cottages_train")
        images, masks, factors = batch["images"], batch["masks"], batch["factors"]
        if self.roughness:
            images = roughen(images, self.rng, self.roughness)
        result = self.annotator(images.contiguous(memory_format=torch.channels_last))
        entropy = -(masks * result.logits.float().log_softmax(dim=1)).sum(dim=1).mean()
        distance = self.vocabulary.distance(result.factors.float(), factors).mean()
        self.optimizer.param_groups[0]["lr"] = self.rate(self.done)
        self.optimizer.zero_grad(set_to_none=True)
        self.manual_backward(entropy + self.factor_weight * distance)
        self.optimizer.step()
        return {"train/classes": entropy, "train/factors": distance}

    @torch.no_grad()
    def evaluate(self, data: AbstractData, size: int = 100) -> dict[str, float]:
        """Mean IoU over classes, IoU per class, R² per factor where its object is present, accuracy per flag."""
        self.annotator.eval()
        overlap, union, pairs = 0, 0, []
        for batch in data.batches(size):
            images = batch.images.to(self.device).contiguous(memory_format=torch.channels_last)
            result = self.annotator(images)
            predicted = F.one_hot(result.logits.argmax(dim=1), len(self.vocabulary.classes)).bool()
            true = F.one_hot(batch.extras["masks"].to(self.device).argmax(dim=1), len(self.vocabulary.classes)).bool()
            overlap = overlap + (predicted & true).sum(dim=(0, 1, 2))
            union = union + (predicted | true).sum(dim=(0, 1, 2))
            pairs.append((self.vocabulary.read(result.factors.float()).cpu(), batch.extras["factors"]))
        self.annotator.train()
        iou = overlap / union.clamp_min(1)
        scores = {"mean_iou": iou.mean().item()}
        scores |= {f"iou/{name}": value for name, value in zip(self.vocabulary.classes, iou.tolist(), strict=True)}
        predicted, true = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        return scores | self._factor_scores(predicted, true)

    def _factor_scores(self, predicted: Float[Tensor, "n k"], true: Float[Tensor, "n k"]) -> dict[str, float]:
        known, scores = self.vocabulary.known(true).bool(), {}
        for k, factor in enumerate(self.vocabulary.factors):
            a, b = predicted[known[:, k], k], true[known[:, k], k]
            if factor.flag:
                scores[f"accuracy/{factor.name}"] = ((a > 0.5) == (b > 0.5)).float().mean().item()
            elif len(b) > 1:
                scores[f"r2/{factor.name}"] = 1 - ((a - b).square().mean() / b.var(correction=0)).item()
        return scores

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The annotator's weights, and the meaning of its outputs."""
        facts = {"kind": self.kind, "network": self.network}
        return dict(self.annotator.state_dict()), facts | self.vocabulary.card()

    def adopt(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        self.annotator.load_state_dict(tensors)

    def pictures(self, data: AbstractData | None) -> None:
        """Nothing to show."""
