"""Names of tensors in files."""

import re


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts names by the size of the numbers in them: ``main.9`` before ``main.10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
