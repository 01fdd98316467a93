"""Estimation of dense flow and affine colour between two pictures, from coarse to fine."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.postprocess.fields import edge_weights, solve
from zstar.postprocess.motion import Motion, sample

UNIT = 64  # parts of a picture's side over which changes of colour are counted


@dataclass(frozen=True)
class Estimator:
    """argmin ∬‖y − A·x(p + u)‖² + σ_s‖∇u‖² + σ_c‖∇A‖² over flow u and affine colour A (Zhu et al. 2016, iGAN,
    https://arxiv.org/abs/1609.03552, section 5.1), by Gauss–Newton steps on a pyramid.

    Attributes:
        flow: σ_s, of flow in pixels.
        colour: σ_c, of gain and offset over 1/64 of the picture's side.
        alone: σ_c where nothing moves.
        edges: Where nothing moves, a difference of two neighbours' colours by which σ_c counts half between them, of 2
            from black to white, over all channels.
        coarsest: Pixels of a side where the pyramid begins.
        rounds: Linearisations on the finest level.
        coarse: Those on each of the others, which cost little.
    """

    flow: float = 0.01
    colour: float = 1.0
    alone: float = 10.0
    edges: float = 0.05
    coarsest: int = 16
    rounds: int = 4
    coarse: int = 10

    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        y: Float[Tensor, "b c h w"],
        moves: bool = True,
        abrupt: bool = True,
        start: Motion | None = None,
    ) -> Motion:
        """What leads from ``x`` to ``y``. Equal pictures give none at all.

        Arguments:
            moves: Whether there is flow, or colours change alone.
            abrupt: Whether colours that change alone may do so at edges.
            start: What is nearly right already; nothing coarser is looked at then.
        """
        found = start
        sizes = self.sizes((x.shape[-2], x.shape[-1]))
        for size in sizes if start is None else sizes[-1:]:
            source, goal = (to_grid(one, size) for one in (x, y))
            found = Motion.none(source) if found is None else found.resized(size)
            found = self.recolour(source, goal, found, abrupt and not moves)
            for _ in range((self.rounds if size == sizes[-1] else self.coarse) if moves else 0):
                found = self.move(source, goal, found)
                found = self.recolour(source, goal, found, abrupt and not moves)
        assert found is not None
        return found

    def sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Of the pyramid's levels, each half of the next."""
        halvings = max(0, (min(size) // self.coarsest).bit_length() - 1)
        return [(max(1, size[0] >> k), max(1, size[1] >> k)) for k in range(halvings, -1, -1)]

    def recolour(self, x: Tensor, y: Tensor, motion: Motion, abrupt: bool = False) -> Motion:
        """The best gain and offset for a flow, colour by colour; if ``abrupt`` they may change much where the picture
        has an edge, which is for pictures whose edges stay where they are."""
        batch, channels, height, width = x.shape
        moved = sample(x, motion.flow)
        ones = torch.ones_like(moved)
        rows = [torch.stack([moved * moved, moved], dim=2), torch.stack([moved, ones], dim=2)]
        matrix = torch.stack(rows, dim=2).flatten(0, 1)
        right = torch.stack([moved * y, y], dim=2).flatten(0, 1)
        start = torch.stack([motion.gain, motion.offset], dim=2).flatten(0, 1)
        unit = channels * (max(height, width) / UNIT) ** 2
        found = solve(matrix, right, self.colour * unit, start)
        if abrupt:  # from there on, so that a change that is the same everywhere stays that
            down, across = (one.repeat_interleave(channels, dim=0) for one in edge_weights(moved, self.edges))
            found = solve(matrix, right, self.alone * unit, found, (down, across))
        found = found.view(batch, channels, 2, height, width)
        return replace(motion, gain=found[:, :, 0], offset=found[:, :, 1])

    def move(self, x: Tensor, y: Tensor, motion: Motion) -> Motion:
        """A Gauss–Newton step of the flow for a colour."""
        moved = sample(x, motion.flow)
        slope = torch.stack(_slopes(moved), dim=2) * motion.gain[:, :, None]
        residual = motion.gain * moved + motion.offset - y
        matrix = (slope[:, :, :, None] * slope[:, :, None]).mean(dim=1)
        right = (matrix * motion.flow[:, None]).sum(dim=2) - (slope * residual[:, :, None]).mean(dim=1)
        return replace(motion, flow=solve(matrix, right, self.flow, motion.flow))


def to_grid(image: Float[Tensor, "b c _ _"], size: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """A picture by the means over the pixels of a coarser grid."""
    return image if tuple(image.shape[-2:]) == tuple(size) else F.interpolate(image, size=tuple(size), mode="area")


def _slopes(image: Float[Tensor, "b c h w"]) -> tuple[Tensor, Tensor]:
    """Central differences across and down."""
    wide = F.pad(image, [1, 1, 1, 1], mode="replicate")
    across, down = wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2], wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]
    return across / 2, down / 2
