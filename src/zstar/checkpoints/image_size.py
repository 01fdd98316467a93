"""The size of the images of a convolutional network."""

from pathlib import Path

from zstar.checkpoints.io import card_path, read_card
from zstar.config.constraints import Within, require


def require_halvings(resolution: int, times: int, otherwise: str = "") -> None:
    """Refuse a size that is not so many times an even number; ``otherwise`` ends the sentence."""
    if resolution < 1 or resolution % 2**times:
        raise ValueError(
            f"generator.resolution: {resolution} can't be halved {times} times; choose a multiple of {2**times}"
            f"{otherwise}"
        )


def image_size(given: int | None, checkpoint: Path | None, usual: int) -> int:
    """Height and width in pixels, where no tensor tells them: what is given, else ``settings.resolution`` on the card
    of the weights, else ``usual``."""
    if given is not None or checkpoint is None:
        size = usual if given is None else given
        require("generator", Within(1), resolution=size)
        return size
    settings = read_card(checkpoint).get("settings")
    size = settings.get("resolution", usual) if isinstance(settings, dict) else usual
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(
            f"checkpoint: the card {card_path(checkpoint)} says a resolution of {repr(size)[:40]}; mend it"
        )
    return size
