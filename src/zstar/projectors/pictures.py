"""What projectors need that put pictures into v."""

from jaxtyping import Float
from torch import Tensor

from zstar.config.reasons import Unfit
from zstar.losses.targets import Targets
from zstar.objective import Problem


def require_pixels(problem: Problem, key: str) -> None:
    """Refuse a space whose latents are no pictures.

    Raises:
        Unfit: One sentence with ``key``.
    """
    if problem.space.name != "pixels":
        name = problem.space.title or problem.space.name
        raise Unfit(
            f"{key}: latents of {name} are no pictures; choose generator=pixels space=pixels, or another start, such "
            "as projector=[mean,optimization]"
        )


def inside(targets: Targets, mask: str) -> Float[Tensor, "b 1 h w"]:
    """1 where a map of the targets is above 0.5, else 0."""
    return (targets.named[mask] > 0.5).to(targets.images)
