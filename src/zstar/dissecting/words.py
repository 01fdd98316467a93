"""What the page says of analyses and of their pictures, for people who see them for the first time."""

INTRODUCTIONS = {
    "causality": (
        "Agreement says what units go along with; this is what they do. Sets of units were switched off everywhere, "
        "and switched on within boxes, in pictures that nothing was chosen by, and the judge said what became of each "
        "class."
    ),
    "relations": (
        "What becomes of all other classes when the units of one are switched off, as a change of their pixels, "
        "without the place where the thing was: what the generator draws only together is seen here."
    ),
    "placing": (
        "The units of a class were switched on in a box, at one place after the other. Yellow is where the class then "
        "appears: in the mean of all scenes first, and in single scenes beside it."
    ),
    "artefacts": (
        "Units that are active where pictures differ most from real ones, and what switching them off does. KID is a "
        "distance of whole sets of pictures from real ones: the less, the better."
    ),
}

CAPTIONS = {  # how the name of a picture begins → what it shows
    "curves_": "{}: what is left of a class with more and more units off, by the way that they were chosen",
    "switched_": "{}: pictures; the same with its units off; others with a box; with its units on in the box",
    "switched": "Pictures; where they are unreal; with the units off",
    "changes_all": "All scenes",
    "changes_": "Scenes of the kind {}",
    "where_": "Where a {} appears",
}


def caption(title: str) -> str:
    """What a picture of this name shows; its name, where nothing is known of it."""
    for start, text in CAPTIONS.items():
        if title.startswith(start):
            return text.format(title.removeprefix(start).replace("_", " "))
    return title.replace("_", " ")
