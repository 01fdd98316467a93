"""Curves of directions in training: achieved over requested strength on held-out latents."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.edits.base import AbstractEdit
from zstar.losses.base import AbstractLoss
from zstar.stats.comparison import mean_interval
from zstar.walks.base import AbstractWalk

Walk = Callable[[Tensor, Tensor], Tensor]  # latents and strengths → latents
Decode = Callable[[Tensor], Tensor]
BEYOND, COUNT = 1.5, 13  # how far outside of the range a curve goes, and its points: every quarter of the range


@dataclass(frozen=True)
class Curve:
    """The effect of a direction over a range of requested strengths.

    Attributes:
        alpha: Requested strengths, ``[s]``.
        inside: Which of them lie in the range that was trained on, ``[s]``.
        given: How strong the edit itself is, ``[s, n]`` for n images: as requested, but for edits that end where there
            is nothing left to change (what is at the right edge can't be moved further to the right).
        achieved: How strong the edit turned out to be by walking, ``[s, n]``.
        loss: λ-weighted sum of the losses between G(walk(z, α)) and edit(G(z), α), ``[s, n]``.
    """

    alpha: Float[Tensor, " s"]
    inside: Tensor
    given: Float[Tensor, "s n"]
    achieved: Float[Tensor, "s n"]
    loss: Float[Tensor, "s n"]

    def scores(self) -> dict[str, float]:
        """Inside the range: mean ``loss``; ``slope`` of achieved over given strength by least squares (1 is right);
        ``r2``, the share of the variation of all achieved strengths that lies on that line, 0 where there is none;
        ``r2_mean``, the share of the variation of the mean given strength that the mean achieved one follows, which a
        wrong slope lowers too."""
        given, achieved = self.given[self.inside].double(), self.achieved[self.inside].double()
        x, y = given - given.mean(), achieved - achieved.mean()
        slope = (x * y).sum() / x.square().sum().clamp_min(1e-12)
        rest, missed = (y - slope * x).square().sum(), (achieved.mean(dim=1) - given.mean(dim=1)).square().sum()
        varied = y.square().sum()
        return {
            "loss": self.loss[self.inside].mean().item(),
            "slope": slope.item(),
            "r2": (1 - rest / varied).item() if varied > 1e-12 else 0.0,
            "r2_mean": (1 - missed / (given.mean(dim=1) - given.mean()).square().sum().clamp_min(1e-12)).item(),
        }

    def rows(self) -> list[dict[str, float]]:
        """One row per strength for a card: mean achieved strength with its 95 % interval over images, mean loss."""
        rows = []
        for alpha, given, achieved, loss in zip(self.alpha.tolist(), self.given, self.achieved, self.loss, strict=True):
            low, high = mean_interval(achieved.double().numpy().astype(np.float64), draws=2000)
            row = {"alpha": alpha, "given": given.mean().item(), "achieved": achieved.mean().item()}
            row |= {"low": low, "high": high}
            row = {name: round(value, 5) for name, value in row.items()}
            rows.append(row | {"loss": round(loss.mean().item(), 6)})
        return rows


class BestWalk(nn.Module):
    """The walk with the lowest loss on held-out latents so far, and its curve; both go into a checkpoint.

    Arguments:
        walk: The walk to keep copies of.
    """

    def __init__(self, walk: AbstractWalk) -> None:
        super().__init__()
        self.walk = copy.deepcopy(walk).requires_grad_(False)
        self.curve: Curve | None = None

    def see(self, walk: AbstractWalk, curve: Curve) -> None:
        """Keep it if it is better than what is kept; a loss that is no number is worse than any."""
        if self.curve is None or not self.curve.scores()["loss"] <= curve.scores()["loss"]:
            self.walk.load_state_dict(walk.state_dict())
            self.curve = curve

    def get_extra_state(self) -> dict[str, Tensor]:
        """torch's hook: what the checkpoint holds besides weights."""
        return {} if self.curve is None else vars(self.curve).copy()

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """torch's hook: what the checkpoint held."""
        self.curve = Curve(**state) if state else None


@torch.no_grad()
def measure(
    edit: AbstractEdit,
    walk: Walk,
    decode: Decode,
    losses: Mapping[str, AbstractLoss],
    latents: Float[Tensor, "n ..."],
    size: int = 32,
) -> Curve:
    """The curve of one direction over its range and beyond, on latents that it has not been trained on."""
    share = torch.linspace(-BEYOND, BEYOND, COUNT)
    alphas = torch.where(share < 0, -share * edit.low, share * edit.high).clamp(*edit.limits).unique()
    slack = 1e-6 * max(-edit.low, edit.high)
    inside = (alphas >= edit.low - slack) & (alphas <= edit.high + slack)
    given, achieved, loss = [], [], []
    for part in latents.split(size):
        before = decode(part).clamp(-1, 1)
        measure_strength = edit.measure_strength(before)
        for value in alphas.tolist():
            alpha = torch.full((len(part),), value, device=part.device)
            image, (target, mask) = decode(walk(part, alpha)), edit(before, alpha)
            terms = (term.weight * term(image, target, term.weights({"mask": mask})) for term in losses.values())
            loss.append(sum(terms).cpu())
            given.append(measure_strength(target).cpu())
            achieved.append(measure_strength(image.clamp(-1, 1)).cpu())
    columns = ([torch.cat(parts[i :: len(alphas)]) for i in range(len(alphas))] for parts in (given, achieved, loss))
    return Curve(alphas, inside, *(torch.stack(column) for column in columns))


@torch.no_grad()
def strips(edit: AbstractEdit, walk: Walk, decode: Decode, latents: Float[Tensor, "n ..."]) -> Float[Tensor, "m c h w"]:
    """Rows of eight: G(z), then G(walk(z, α)) for seven α over the range; below it what the edit itself would give."""
    alphas = torch.linspace(edit.low, edit.high, 7, device=latents.device)
    rows = []
    for latent in latents:
        before = decode(latent[None]).clamp(-1, 1)
        walked = decode(walk(latent.expand(7, *latent.shape), alphas))
        target, _ = edit(before.expand(7, -1, -1, -1), alphas)
        rows += [before, walked, before, target]
    return torch.cat(rows)
