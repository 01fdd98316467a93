"""Budgets: a limit on evaluations to which every method is shortened in its own proportions."""

from collections.abc import Callable, Sequence

from zstar.config.reasons import Unfit
from zstar.projectors.base import AbstractProjector

HALVINGS = 40


def fit(
    projectors: Sequence[AbstractProjector], evaluations: int | None = None, seconds: float | None = None
) -> list[AbstractProjector]:
    """The chain with so much shorter iterations that an image costs no more than the budget.

    All parts of a chain are cut by the same share, with their schedules, so that a method stays what it is; none is
    made longer than it is configured. What has no iterations, such as an encoder, stays whole. What is left over, as
    one part can only be cut by whole generations, goes to the others, the last one first.

    Arguments:
        projectors: The chain as it is configured.
        evaluations: Evaluations of the equation for each image, at the most; ``None`` for no limit. A forward pass
            alone counts as much as one with its backward pass.
        seconds: Wall-clock time for each image, spread over the parts that have iterations by what they cost in
            evaluations; ``None`` for no limit. A part ends with the step that it is in when its time is over.

    Raises:
        ValueError: Not even one iteration of each part fits; one sentence with the least that does.
    """
    chain, kinds = list(projectors), ()
    for projector in chain:
        projector.inherits, kinds = kinds, (*kinds, *projector.frees)
    if evaluations is not None:
        chain = shorten(chain, evaluations)
    if seconds is None:
        return chain
    whole = sum(projector.cost for projector in chain if iterates(projector))
    return [one.timed(seconds * one.cost / whole) if iterates(one) else one for one in chain]


def shorten(chain: list[AbstractProjector], evaluations: int) -> list[AbstractProjector]:
    """The chain cut by the largest share with which it costs at most ``evaluations``."""
    if sum(projector.cost for projector in chain) <= evaluations:
        return chain
    share = largest(lambda share: [projector.scaled(share) for projector in chain], evaluations)
    least = sum(projector.scaled(2.0**-HALVINGS).cost for projector in chain)
    if least > evaluations:
        raise Unfit(
            f"budget.evaluations: {evaluations} is too little for this method, whose shortest form takes {least} for "
            "an image; raise it, or choose another method"
        )
    short = [projector.scaled(share) for projector in chain]
    for place, whole in reversed(list(enumerate(chain))):
        others = sum(projector.cost for index, projector in enumerate(short) if index != place)
        short[place] = whole.scaled(
            max(share, largest(lambda share, whole=whole: [whole.scaled(share)], evaluations - others))
        )
    return short


def largest(scaled: Callable[[float], list[AbstractProjector]], evaluations: int) -> float:
    """The largest share with which projectors cost at most so many evaluations; 0 where none does."""
    low, high = 0.0, 2.0  # so that the first look is at the whole
    for _ in range(HALVINGS):
        share = (low + high) / 2
        fits = sum(projector.cost for projector in scaled(share)) <= evaluations
        if fits and share == 1:
            return share
        low, high = (share, high) if fits else (low, share)
    return low


def iterates(projector: AbstractProjector) -> bool:
    """Whether a projector can be made shorter."""
    return projector.scaled(0.5) is not projector
