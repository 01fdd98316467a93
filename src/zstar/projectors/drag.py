"""Handles that are dragged to their targets."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zstar.callbacks import BestSoFar, Callback, Step
from zstar.config.constraints import Within, require
from zstar.config.reasons import Unfit
from zstar.config.signatures import nearest
from zstar.generators.reading import map_shapes, read
from zstar.generators.variables import Group, Variables, kinds_of
from zstar.inversion import Inversion
from zstar.objective import Objective, Problem
from zstar.optimizers.slices import Slices
from zstar.projectors.base import AbstractDescent
from zstar.projectors.dragging import Pull, sample
from zstar.runs.precision import single

KEY = "projector.drag"
ARRIVED = 1.0  # pixels


class Drag(AbstractDescent):
    """Drags points of a picture to other places: DragGAN (Pan et al. 2023, https://arxiv.org/abs/2305.10973).

    Each step looks where the handles have come to and pulls what is around them a pixel towards their targets, in the
    features of a layer (:class:`zstar.projectors.dragging.Pull`). An image ends when all of its handles are within a
    pixel of their targets. Choose it where a part is to be moved, turned or made larger and what it is to look like
    there is the generator's affair; the loss ``warp`` asks for a patch as it is.

    What pulls is no loss between G(v) and a target: it compares the features with themselves, and changes with the
    handles from step to step. So it stands beside the losses and regularizers of the run, which may ask for more: for
    colours, or to stay near. The latent alone moves. Where handles are is a variable of v, ``handles/at``, which the
    tracking keeps to what it belongs to: an image that has ended keeps it, and a batch does to each of its images what
    a run of its own does. As values of different steps can't be compared, the best v is the one whose handles are
    nearest to their targets, in the mean; of an image without handles it is that of the lowest value.

    Arguments:
        problem: The equation without its targets; its optimizer takes the steps.
        steps: Optimizer steps, at the most.
        layer: Name of the layer; null for the last one whose maps are at most half as high as the picture.
        radius: Of the disc around a handle that is pulled, in pixels of the picture; null for 1/85 of its height, the
            paper's 3 of 256, and 1 at least.
        reach: How far a handle is looked for from where it was, in whole pixels; null for 1/21 of the height, the
            paper's 12 of 256, and 1 at least.
        hold: λ of what may not move, where something may not.
        rows: So many first rows of w_plus move, 6 in the paper; null for all.
        keep_best: Return for each image the v whose handles are nearest to their targets instead of the last one.
        target: Name of the target that holds the handles.
        mask: Name of the one that says what may move; null if all may.
    """

    def __init__(
        self,
        problem: Problem,
        steps: int = 200,
        layer: str | None = None,
        radius: float | None = None,
        reach: int | None = None,
        hold: float = 20.0,
        rows: int | None = None,
        keep_best: bool = True,
        target: str = "points",
        mask: str | None = "movable_mask",
    ) -> None:
        super().__init__(problem, steps, keep_best)
        require(KEY, Within(0), steps=steps, hold=hold, radius=0 if radius is None else radius)
        require(KEY, Within(1), reach=1 if reach is None else reach, rows=1 if rows is None else rows)
        if not problem.optimizer.stochastic:
            name = type(problem.optimizer).__name__
            raise Unfit(f"{KEY}: {name} compares values of different steps, between which handles move; choose adam")
        if rows is not None and len(problem.space.shape) != 2:
            raise Unfit(f"{KEY}.rows: latents of {problem.space.name} have no rows; choose space=w_plus, or null")
        size = problem.generator.resolution
        self.layer = pick_layer(problem, layer)
        self.radius = max(1.0, size / 85) if radius is None else radius
        self.reach = max(1, round(size / 21)) if reach is None else reach
        self.hold, self.rows, self.target, self.mask = hold, rows, target, mask

    @property
    def cost(self) -> int:
        return super().cost + self.problem.cost()  # the look at the features to begin with counts as an evaluation

    @property
    def reads(self) -> dict[str, str]:
        return {f"{KEY}.target": self.target} | ({} if self.mask is None else {f"{KEY}.mask": self.mask})

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Drag the handles of each image by itself."""
        v = dict(self.problem.start(objective.targets) if inversion is None else inversion.v)
        v.setdefault("origin", v["latent"])
        own = copy(objective)
        with self.problem.generator.reading(self.layer) as seen:
            pull = Pull(self.problem.space, seen, self.layer, self.radius, self.reach, self.hold)
            own.problem, own.graphs = self._with(pull, v), None
            v |= self.handles(objective, v)
            groups = [self._latent(v), Group(["handles/at"], constrain=lambda _: v["handles/tracked"])]
            found = self.descend(own, v, groups, [stop, *callbacks], chosen=BestSoFar(distance))
        kept = {name: value for name, value in found.v.items() if not name.startswith("handles/")}
        kept |= ends(found.v, objective.targets.named[self.target])
        spent = found.evaluations + self.problem.cost()
        return replace(found, v=kept, evaluations=spent).after(inversion)

    def _with(self, pull: Pull, v: Variables) -> Problem:
        """The equation with what pulls. It comes first, while what the layer has left is of the image itself."""
        problem = self.problem
        one = "weights" in kinds_of(v) and not problem.generator.batched_weights  # where images are drawn one by one
        return replace(
            problem,
            regularizers={"drag": pull, **problem.regularizers},
            slices=Slices(1) if one else problem.slices,
            graph=False,
        )

    def _latent(self, v: Variables) -> Group:
        """The latent, of which the first rows may be all that moves."""
        latent, *_ = self.problem.groups(v)
        rows, start = self.rows, v["latent"]
        if rows is None:
            return latent
        constrain = latent.constrain or (lambda latent: latent)
        return replace(latent, constrain=lambda moved: torch.cat([constrain(moved)[:, :rows], start[:, rows:]], dim=1))

    @torch.no_grad()
    def handles(self, objective: Objective, v: Variables) -> dict[str, Tensor]:
        """What is to be known of the handles, at the v that they are dragged from."""
        problem, named = self.problem, objective.targets.named
        size, points = problem.generator.resolution, named[self.target]
        used = max(1, int(points.isfinite().flatten(2).all(dim=2).any(dim=0).sum()))  # the others are of no image
        start, to = points[:, :used].unbind(dim=2)

        def look(_rows: slice, some: Variables) -> dict[str, Tensor]:
            found, _ = read(problem.generator, some, problem.space.name, problem.noise, [self.layer])
            return {"maps": single(found[self.layer])}

        maps, start = problem.slices.run(look, v)["maps"], start.nan_to_num(0)
        found = {
            "at": start, "tracked": start.clone(), "to": to.clone(),
            "content": sample(maps, start[:, :, None], size)[..., 0],
            "scale": (maps - maps.mean(dim=(2, 3), keepdim=True)).abs().mean(dim=(1, 2, 3)).clamp_min(1e-12),
        }  # fmt: skip
        if self.mask is not None and bool((still := 1 - named[self.mask]).any()):
            found |= {"before": maps, "still": still}
        return {f"handles/{name}": value for name, value in found.items()}


def pick_layer(problem: Problem, layer: str | None) -> str:
    """The layer whose features are dragged: the one that is named, or the last one of half the picture's height."""
    generator, name = problem.generator, type(problem.generator).__name__
    known = [*generator.layers, *generator.convolutions]
    if not known:
        raise Unfit(f"{KEY}: {name} offers no feature layers; name some in generator.layers, or drag with loss=[warp]")
    if layer is not None and layer not in known:
        raise ValueError(f"{KEY}.layer: G has no layer '{layer}'; {nearest(layer, known)}")
    shapes = map_shapes(generator, list(generator.layers) if layer is None else [layer])
    maps = {name: shape[1] for name, shape in shapes.items() if len(shape) == 3}
    if not maps:
        raise Unfit(f"{KEY}.layer: what {layer or name} has is no map, [channels, height, width]; choose another layer")
    return [name for name, side in maps.items() if side <= max(generator.resolution // 2, min(maps.values()))][-1]


def gaps(v: Variables) -> tuple[Float[Tensor, "b k"], Int[Tensor, " b"]]:
    """How far each handle is from its target in pixels, 0 where there is none, and how many an image has."""
    there = v["handles/to"].isfinite().all(dim=-1)
    return (v["handles/tracked"] - v["handles/to"]).norm(dim=-1).where(there, 0.0), there.sum(dim=1)


def distance(step: Step) -> Float[Tensor, " b"]:
    """The mean way that is left for the handles of each image; the value of the equation where there are none."""
    (far, count), total = gaps(step.v), step.terms.total
    return (far.sum(dim=1) / count).where(count > 0, total).where(total.isfinite(), torch.inf)


def stop(step: Step) -> None:
    """Switch off the images whose handles have arrived."""
    far, count = gaps(step.v)
    step.active.logical_and_((far > ARRIVED).any(dim=1) | (count == 0))


def ends(v: Variables, points: Float[Tensor, "b n 2 2"]) -> dict[str, Float[Tensor, "b n 2"]]:
    """Where handles were, were to be, and are, as v keeps it."""
    start, to = points.unbind(dim=2)
    at = torch.full_like(to, torch.nan)
    used = v["handles/tracked"].shape[1]
    at[:, :used] = v["handles/tracked"].where(v["handles/to"].isfinite(), torch.nan)
    return {"handles/from": start.clone(), "handles/to": to.clone(), "handles/at": at}
