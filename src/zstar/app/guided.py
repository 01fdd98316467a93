"""Pictures that do what marks ask for: z* = argmin L(marks, G(z)) + ‖z − z₀‖², from several starts."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.app.marks import Mark
from zstar.app.strokes import BadStrokes
from zstar.callbacks import Step
from zstar.data.decoding import BadImage
from zstar.data.layers import drawn
from zstar.generators.variables import Variables
from zstar.inversion import conclude
from zstar.losses.pixel import Pixel
from zstar.losses.sketch import Sketch
from zstar.losses.targets import Targets
from zstar.losses.warp import Warp
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.projection.alternatives import way
from zstar.projectors.drag import Drag
from zstar.projectors.starts import Starts
from zstar.regularizers.origin_norm import OriginNorm
from zstar.spaces.base import AbstractSpace

Watch = Callable[[int, int, float, Tensor], None]
"""Hears of steps done, of how many, the seconds that the last one took, and the best picture before it."""

FRAMES = 12  # of the way from before to after


@dataclass(frozen=True)
class Guidance:
    """What the marks weigh against what; ``experiments/strokes`` says why.

    Attributes:
        starts: Descents at once, all of which are shown.
        steps: Their steps.
        lr: Step size, in units of the latents.
        origin: μ of the distance from where the latent was.
        sketch: λ of the edges, against colours and patches.
        drag_steps, drag_lr: Of the one descent that drags handles, where there are some: steps at the most, and their
            size.
    """

    starts: int = 4
    steps: int = 40
    lr: float = 0.05
    origin: float = 1.0
    sketch: float = 0.2
    drag_steps: int = 100
    drag_lr: float = 0.02


@dataclass(frozen=True)
class Found:
    """Alternatives that marks have led to, the lowest value of the equation first, on the CPU; with handles, one.

    Attributes:
        latents: ``[k, ...]``.
        values: Of the equation.
        pictures: ``[k, c, h, w]`` in [−1, 1].
        seconds: Median time of a step.
    """

    latents: Tensor
    values: list[float]
    pictures: Float[Tensor, "k c h w"]
    seconds: float


class Guide:
    """Finds pictures that do what marks ask for. Sessions share it, and it keeps nothing of theirs.

    Arguments:
        space: The space of the latents that are moved, with its generator.
        lock: Held while the generator is at work.
        guidance: What is weighed against what.
    """

    def __init__(self, space: AbstractSpace, lock: threading.Lock, guidance: Guidance | None = None) -> None:
        self.space, self.lock, self.guidance = space, lock, guidance or Guidance()

    def lifted(self, v: Variables, space: str) -> dict[str, Tensor]:
        """v with its latent in the space that is searched.

        Raises:
            BadStrokes: There is no way there.
        """
        v = {name: self.space.generator.bring(value) for name, value in v.items()}
        if space == self.space.name:
            return v
        order = list(self.space.generator.spaces)
        if order.index(space) > order.index(self.space.name):
            raise BadStrokes(f"the picture is in {space}, which can't be brought to {self.space.name}")
        with torch.no_grad(), self.lock, self.space.generator.conditioned(v.get("class")):
            lifted = self.space.generator.lift(v["latent"], space, self.space.name)
        return {**v, "latent": lifted.contiguous()}

    @torch.no_grad()
    def render(self, v: Variables, noise: str) -> Float[Tensor, "b c h w"]:
        """G(v), clamped to [−1, 1]."""
        with self.lock:
            return self.space.generator.render(v, self.space.name, noise).clamp(-1, 1).cpu()

    def targets(self, marks: Sequence[Mark], image: Float[Tensor, "1 c h w"]) -> dict[str, Float[Tensor, "1 ..."]]:
        """The named targets that marks on an image are.

        Raises:
            BadStrokes: One of them lies outside of the picture, or a handle is of no use here; one sentence.
        """
        side = image.shape[-1]
        if any(mark.kind == "point" for mark in marks) and not self.space.generator.layers:
            raise BadStrokes("this generator names no layers, in whose features handles are dragged; drag a patch")
        try:
            made = drawn([mark.layer(side) for mark in marks], image[0], "crop")
        except BadImage as error:
            raise BadStrokes(str(error)) from None
        return {"image": image, **{name: value[None] for name, value in made.items()}}

    def find(
        self, v: Variables, noise: str, targets: Mapping[str, Tensor], watch: Watch, stay: float | None = None
    ) -> Found:
        """The alternatives for the v of a picture in the space that is searched, and the targets of its marks.

        Arguments:
            stay: μ of the distance from where the latent was, where it is another than that of the guidance.
        """
        with self.lock:
            problem = self.problem(targets, noise, self.guidance.origin if stay is None else stay)
            objective = Objective(
                problem, Targets({n: problem.generator.bring(t) for n, t in targets.items()}, ["marks"])
            )
            counts = torch.zeros(1, dtype=torch.long, device=v["latent"].device)
            start = conclude(objective, {**v, "origin": v["latent"]}, [], counts, ["done"], time.perf_counter())
            own, drags = self.guidance, bool(targets["points"].isfinite().any())
            times, began = [], [time.perf_counter()]

            def count(step: Step) -> None:
                best = step.terms.total.nan_to_num(torch.inf).argmin()
                times.append(time.perf_counter() - began[0])
                began[0] = time.perf_counter()
                watch(step.index + 1, step.steps, times[-1], step.terms.image[best].detach().cpu())

            if drags:
                problem = replace(problem, optimizer=Adam(lr=own.drag_lr))
                found = Drag(problem, own.drag_steps)(objective, start, [count])
                latents, values = found.latent, found.loss.tolist()
            else:
                found = Starts(problem, own.starts, keep=own.starts, steps=own.steps)(objective, start, [count])
                latents, values = found.v["alternatives/latent"][0], found.v["alternatives/value"][0].tolist()
            same = {name: value.expand(len(latents), *value.shape[1:]) for name, value in v.items()}
        pictures = self.render({**same, "latent": latents}, noise)
        return Found(latents.cpu(), values, pictures, sorted(times)[len(times) // 2] if times else 0.0)

    def problem(self, targets: Mapping[str, Tensor], noise: str, stay: float) -> Problem:
        """The equation with the losses of the marks that there are."""
        losses = {
            "color_strokes": Pixel(target="color_strokes", mask="color_mask"),
            "sketch": Sketch(weight=self.guidance.sketch),
            "warp": Warp(),
        }
        some = {name: loss for name, loss in losses.items() if bool(targets[loss.mask].any())}
        losses = some or {"warp": losses["warp"]}  # whose value is 0, beside handles alone
        origin = OriginNorm(self.space, stay)
        return Problem(self.space, losses, {"origin_norm": origin}, Adam(lr=self.guidance.lr), noise=noise)

    def way(self, v: Variables, latent: Tensor, noise: str) -> Float[Tensor, "frames c h w"]:
        """Pictures on the way from v to another latent in its place."""
        generator = self.space.generator
        latents = way(generator, self.space.name, v["latent"], generator.bring(latent)[None], FRAMES)
        same = {name: value.expand(FRAMES, *value.shape[1:]) for name, value in v.items()}
        return self.render({**same, "latent": latents}, noise)
