"""What the columns of the tables of a dissection say, where their names do not."""

SETS = {
    "method": "what the units were chosen by: a learned α, the effect of each alone, IoU, or at random",
    "units": "how many are off at once",
    "kept share": "share of the class's pixels that is left with them off",
    "removed": "pixels of the class that a picture loses",
    "elsewhere, worst": "mean and largest change of other classes where the class had not been: lost and gained pixels "
    "over those that they had",
    "net": "largest change of another class's area there",
    "inserted": "share of boxes of which half is of the class with the units on",
    "effect": "share of a box that is of the class, units on less units off",
    "low, high": "95 % interval of the effect over pictures",
}
DISTANCES = {
    "units": "how many of the layer are off",
    "kid": "kernel inception distance of the samples from real pictures: the less, the better",
    "kid low, kid high": "95 % interval of it",
    "change": "the distance less that of the pictures as they are",
    "change low, change high": "95 % interval of it",
}
LEGENDS = {  # analysis/table → columns → what they say
    "causality/effects": {
        "effect": "pixels of the class that a picture loses when this unit alone is off",
        "low, high": "95 % interval of it over pictures",
    },
    "causality/curve": SETS,
    "causality/best": SETS,
    "causality/leakage": {
        "class, other": "whose units are off, and which class is looked at",
        "before, after": "pixels of the other class in a picture",
        "behind": "of those after, the ones where the first class had been",
        "lost, gained": "its pixels that go and come elsewhere",
        "moved, net": "lost and gained pixels, and gained less lost ones, over those that it had",
    },
    "relations/changes": {
        "class, other": "whose units are off, and which class is looked at",
        "kind, scenes": "in which scenes, and how many of them have the first class",
        "before, after": "pixels of the other class in a picture",
        "behind": "of those after, the ones where the first class had been",
        "lost, gained": "its pixels that go and come elsewhere",
        "elsewhere, share": "gained less lost ones, in pixels and over those before; of the class itself all change",
        "low, high": "95 % interval of elsewhere over pictures",
    },
    "relations/kinds": {"kind, scenes": "kind of scene, and how many of all are of it"},
    "placing/places": {
        "y, x": "middle of a box, in pixels from the top left",
        "scenes": "how many had one class in the box, and no such thing",
        "share": "share of them in which the thing appears in half of the box",
    },
    "placing/was": {
        "was, boxes": "class that fills a box before, and number of such boxes",
        "appeared": "share of the boxes of which half is of the class afterwards",
        "seen": "mean share of a box that is of the class",
        "change": "mean change of a box's pixels, on a scale on which from black to white is 2",
        "low, high": "95 % interval of appeared over boxes",
    },
    "artefacts/kid": {
        "method": "which units are off: those active where pictures are unreal, at random, or the most active ones",
        **DISTANCES,
    },
    "artefacts/tried": DISTANCES,
    "artefacts/units": {
        "more": "mean where pictures are unreal less that elsewhere, in standard deviations of the unit",
        "active": "mean magnitude",
    },
}


def legend(analysis: str, table: str) -> dict[str, str]:
    """Columns of a table, as its heading shows them → what they say; empty where nothing is known of it."""
    return LEGENDS.get(f"{analysis}/{table}", {})
