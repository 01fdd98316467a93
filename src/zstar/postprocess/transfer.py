"""Edit transfer: what moves and changes colour between G(v) and G(v′), done to the photo at its own resolution."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import POSITIVE, Within, require
from zstar.postprocess.base import AbstractPostprocess, Change, to_size
from zstar.postprocess.estimation import Estimator
from zstar.postprocess.motion import Motion, choose

FINEST = 128  # pixels of a side of the frames that motions are estimated on
FLAT = (2 / 255) ** 2  # mean squared error of a step of 8 bits: what is below it is no better
Model = Literal["auto", "colour", "flow"]


class Transfer(AbstractPostprocess):
    """y(p) = A(p)·x(p + u(p)), with flow u and affine colour A estimated between neighbouring frames on the way from
    G(v) to G(v′), composed, and applied to the photo (Zhu et al. 2016, iGAN, https://arxiv.org/abs/1609.03552).

    The choice for photos that are larger than the generator's pictures: their detail is moved and recoloured, and no
    pixel of it is drawn anew. Where a pixel comes from beyond the photo, or where G(v′) shows what no motion of G(v)
    explains, such as what was hidden, there is G(v′), scaled up; of the little that a flow leaves elsewhere a share is
    added. Frames that are equal give the photo, bit for bit.

    Arguments:
        model: What is estimated: ``colour`` alone, ``flow`` and colour, or ``auto``, for each image the better of both:
            fitted to frames of half the size and compared with G(v′) at its own.
        frames: Steps from G(v) to G(v′).
        smooth_flow: σ_s, the weight of ‖∇u‖², with u in pixels of the generator and a loss that is a mean over pixels.
        smooth_colour: σ_c, the weight of ‖∇A‖², of gain and offset over 1/64 of the picture's side, beside a flow.
        smooth_alone: The same of ``colour`` alone, whose A may change abruptly at edges of G(v).
        edges: Difference of two neighbours' colours at which the latter counts half, of 2 from black to white.
        likeness: Difference of colours, likewise, up to which a pixel of the photo takes the A of ``colour`` from one
            of the small grid; a smaller one follows the photo's edges more closely.
        margin: By how many dB flow has to be better to be chosen.
        explained: Misfit of a colour, of 2 from black to white, up to which a flow explains G(v′), and a change of
            colours alone up to twice as much; it counts in full from twice that on. 0 trusts both.
        rest: Share of what a flow leaves, G(v′) − A·G(v)(p + u), that is added to the photo, scaled up. Of what is left
            by colours alone, which is what moves, none is.
        reach: How far beyond what was painted the change counts in full, in shares of the picture's side.
        fade: How far beyond that it fades to nothing, likewise.
    """

    needs_path = True

    def __init__(
        self,
        model: Model = "auto",
        frames: int = 3,
        smooth_flow: float = 0.01,
        smooth_colour: float = 3.0,
        smooth_alone: float = 10.0,
        edges: float = 0.05,
        likeness: float = 0.07,
        margin: float = 5.0,
        explained: float = 0.08,
        rest: float = 0.5,
        reach: float = 0.06,
        fade: float = 0.06,
    ) -> None:
        super().__init__(reach, fade)
        require("postprocess", POSITIVE, smooth_flow=smooth_flow, smooth_colour=smooth_colour)
        require("postprocess", POSITIVE, smooth_alone=smooth_alone, edges=edges, likeness=likeness)
        require("postprocess", Within(1), frames=frames)
        require("postprocess", Within(0), explained=explained)
        require("postprocess", Within(0, 1), rest=rest)
        self.model, self.frames, self.margin, self.explained, self.rest = model, frames, margin, explained, rest
        self.estimate, self.likeness = Estimator(smooth_flow, smooth_colour, smooth_alone, edges), likeness

    @torch.no_grad()
    def compose(self, change: Change, allowed: Float[Tensor, "_ 1 H W"]) -> Float[Tensor, "b c H W"]:
        frames = self.way(change)
        motion = self.motion(frames)
        reached = motion.apply(frames[0])
        missing = self.missing(reached, frames[-1], motion.moves()).to(change.photo)
        large = motion.along(change.photo, self.likeness)
        left = self.rest * (frames[-1] - reached) * motion.moves()
        picture = large.apply(change.photo) + to_size(left.to(change.photo), change.size)
        gone = torch.maximum(to_size(missing, change.size), 1 - large.within())
        picture = torch.lerp(picture, to_size(change.after, change.size), gone)
        return change.photo + allowed * (picture - change.photo)

    def way(self, change: Change) -> list[Float[Tensor, "b c h w"]]:
        """The frames from G(v) to G(v′), large ones made smaller: what moves is smooth.

        Raises:
            ValueError: There is no path, or the photo is smaller than they are.
        """
        if change.path is None:
            raise ValueError("postprocess.transfer: there is no path from G(v) to G(v′) here; choose another step")
        (height, width), (least, wide) = change.size, change.frame
        if height < least or width < wide:
            raise ValueError(
                f"postprocess.transfer: the photo has {width} × {height} pixels, fewer than the {wide} × {least} of "
                "the generator; give a larger one, or choose residual"
            )
        between = [change.path(step / self.frames) for step in range(1, self.frames)]
        scale = max(1, math.ceil(max(change.frame) / FINEST))
        frames = [change.before, *between, change.after]
        return [F.avg_pool2d(frame, scale, ceil_mode=True, count_include_pad=False) for frame in frames]

    def motion(self, frames: list[Float[Tensor, "b c h w"]]) -> Motion:
        """The composed motion of the model, on the grid of the frames."""
        if self.model == "auto":
            return choose(self.gain(frames) > self.margin, self.along(frames, True), self.along(frames, False))
        return self.along(frames, self.model == "flow")

    def along(self, frames: list[Float[Tensor, "b c h w"]], moves: bool, abrupt: bool = True) -> Motion:
        """The motions between neighbouring frames, all estimated at once, and composed; and from there on the one from
        the first frame to the last, in which no errors have added up."""
        steps = self.estimate(torch.cat(frames[:-1]), torch.cat(frames[1:]), moves, abrupt).split(len(frames[0]))
        whole = steps[0]
        for step in steps[1:]:
            whole = step.after(whole)
        return whole if len(steps) == 1 else self.estimate(frames[0], frames[-1], moves, abrupt, whole)

    def gain(self, frames: list[Float[Tensor, "b c h w"]]) -> Float[Tensor, " b"]:
        """By how many dB flow and colour, fitted at half the size, are closer to G(v′) than colour alone, both smooth:
        at so few pixels what follows edges follows too little else."""
        small = [F.avg_pool2d(frame, 2, ceil_mode=True, count_include_pad=False) for frame in frames]
        size, errors = (frames[0].shape[-2], frames[0].shape[-1]), []
        for moves in (True, False):
            picture = self.along(small, moves, abrupt=False).resized(size).apply(frames[0])
            errors.append((picture.clamp(-1, 1) - frames[-1]).square().mean(dim=(1, 2, 3)))
        return 10 * (errors[1].clamp_min(FLAT) / errors[0].clamp_min(FLAT)).log10()

    def missing(
        self, reached: Float[Tensor, "b c h w"], after: Float[Tensor, "b c h w"], moves: Float[Tensor, "b 1 1 1"]
    ) -> Float[Tensor, "b 1 h w"]:
        """How much of G(v′) is not explained by what a motion has made of G(v), from 0 to 1."""
        misfit = (reached.clamp(-1, 1) - after).abs().amax(dim=1, keepdim=True)
        if self.explained == 0:
            return torch.zeros_like(misfit)
        wide = F.max_pool2d(misfit, 3, 1, 1)
        limit = self.explained * (2 - moves)
        return F.avg_pool2d((wide / limit - 1).clamp(0, 1), 3, 1, 1, count_include_pad=False)
