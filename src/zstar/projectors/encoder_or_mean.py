"""The start of the default chain: an inverting network where there is one."""

from zstar.encoders.trained import TrainedEncoder
from zstar.objective import Problem
from zstar.projectors.base import AbstractProjector
from zstar.projectors.encoder import Encoder
from zstar.projectors.mean import Mean


def encoder_or_mean(
    problem: Problem, encoder: TrainedEncoder | None = None, passes: int | None = None
) -> AbstractProjector:
    """The projector ``encoder`` where there is a network for the generator and the space, else ``mean``.

    For chains that are to run with any generator; a method that is about the network says ``encoder``, and it is an
    error if there is none. Results name what it was, and a run without a network says so.

    Arguments:
        problem: The equation without its targets.
        encoder: The inverting network, if there is one.
        passes: As for :class:`zstar.projectors.encoder.Encoder`.
    """
    return Mean(problem) if encoder is None else Encoder(problem, encoder, passes)
