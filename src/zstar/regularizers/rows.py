"""The check of regularizers that compare the rows of w_plus."""

from zstar.config.reasons import Unfit
from zstar.spaces.base import AbstractSpace


def require_rows(name: str, space: AbstractSpace) -> None:
    """Raise ``ValueError`` unless latents of ``space`` have rows; ``name`` is that of the regularizer."""
    if space.name != "w_plus":
        raise Unfit(
            f"regularizer.{name}: only w_plus has rows to compare, space={space.name} has not; "
            f"set space=w_plus or remove {name} from regularizer"
        )
