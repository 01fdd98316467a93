"""What the sizes of a new network can be."""

from zstar.config.constraints import Within, require


def require_new(resolution: int, channels: int, least: int = 8) -> None:
    """Refuse images of a generator that has no weights yet.

    Raises:
        ValueError: The resolution is no power of two, or fewer pixels than ``least``; or no image has such colours.
    """
    require_doubled("generator", resolution, least)
    require_new_colours(channels)


def require_new_colours(channels: int) -> None:
    """Refuse images that are neither grey nor coloured."""
    if channels not in (1, 3):
        raise ValueError(f"generator.channels: {channels} colours are no image; choose 3 or 1")


def require_doubled(group: str, resolution: int, least: int = 8) -> None:
    """Refuse a size that is not ``least`` pixels, doubled as often as one likes."""
    if resolution < least or resolution & (resolution - 1):
        raise ValueError(f"{group}.resolution: {resolution} is no power of two from {least} on; choose e.g. 64")


def doubling_widths(resolution: int, base: int, most: int, group: str = "generator") -> dict[int, int]:
    """Feature channels of each resolution from 4 pixels on: ``base`` over the resolution, at most ``most``."""
    require(group, Within(1), channel_max=most)
    require(group, Within(resolution), channel_base=base)  # else the finest layer has no channels
    return {2**i: min(base // 2**i, most) for i in range(2, resolution.bit_length())}
