"""The vocabulary of annotators of cottages: classes and factors of the world, and when each factor shows."""

from zstar.annotators.vocabulary import Meaning, Vocabulary
from zstar.data.cottages import CLASSES, FACTORS

NEEDS = {
    "sun_x": ("sun_present",),
    "cloud_x": ("cloud_left_present", "cloud_right_present"),
    "chimney_present": ("!is_chapel",),
    "door_x": ("door_present",),
    "window_size": ("window_present",),
    "tree_left_x": ("tree_left_present",),
    "tree_right_x": ("tree_right_present",),
    "tree_size": ("tree_left_present", "tree_right_present"),
}


def cottage_vocabulary() -> Vocabulary:
    """The vocabulary of ``data=cottages``; a factor carries no loss where its object is absent."""
    meanings = [
        Meaning(name, factor.low, factor.high, factor.unit, factor.kind == "flag", NEEDS.get(name, ()))
        for name, factor in FACTORS.items()
    ]
    return Vocabulary(CLASSES, meanings)
