"""SVG of the figures, prepared for a page that answers: rows as attributes, colours as classes.

A group with ``class="point" data-row="…"`` is the point of a row, and so are its ``bar`` (interval), its ``name`` with
the ``lead`` to it, the ``join`` of its method and its ``panel`` among the curves; ``axes`` names its metrics in
``data-metrics``. A colour has its class besides ``fill`` or ``stroke``, by which a page makes a dark drawing of it.
"""

import re
from xml.etree import ElementTree

from matplotlib.colors import to_hex

from zstar.benchmark.figures.canvas import COLORS, FAINT, GREY, GRID, INK, PAPER, dark

SVG = "http://www.w3.org/2000/svg"
ROWS = ("point", "bar", "name", "lead", "join", "panel")
CLASSES = {PAPER: "paper", INK: "ink", GRID: "grid", GREY: "grey", FAINT: "faint"}
CLASSES |= {to_hex(shade): f"c{i}" for i, color in enumerate(COLORS, 1) for shade in (color, dark(color))}
PAINT = re.compile(r"(fill|stroke): (#[0-9a-f]{6})")
REFERENCE = re.compile(r"url\(#([^)]+)\)")
FAMILY = re.compile(r"font-family: [^;]*;? ?")
FONTS = "DejaVu Sans, Verdana, Arial, sans-serif"  # of the same width as far as possible
JOINTS = {"stroke-linejoin": "round", "stroke-linecap": "butt"}
DECIMALS = re.compile(r"(\d+\.\d\d)\d+")


def adapt(text: str, name: str) -> str:
    """The SVG of matplotlib as an element that can stand in a page beside others.

    Arguments:
        text: The file that matplotlib writes, in which the ids of groups are a class with a row or with metrics.
        name: Prefix of all ids that are left, unique in the page.
    """
    root = ElementTree.fromstring(text)  # noqa: S314, it was made here
    prune(root)
    for shape in (shape for shapes in root.iter(f"{{{SVG}}}defs") for shape in shapes):
        shape.attrib.pop("style", None)  # each use has a paint of its own, which a page can reach
    for element in root.iter():
        element.tag = local(element.tag)
        for key in list(element.attrib):
            if local(key) != key:
                element.set(local(key), element.attrib.pop(key))
        if "style" in element.attrib:
            element.set("style", FAMILY.sub("", element.attrib["style"]))
        refer(element, name)
        classify(element)
        for key in {"d", "x", "y"} & element.attrib.keys():
            element.set(key, DECIMALS.sub(r"\1", element.attrib[key]))  # hundredths of a point are enough
    root.attrib |= {"xmlns": SVG, "role": "group", "font-family": FONTS, **JOINTS}
    return ElementTree.tostring(root, encoding="unicode")


def prune(element: ElementTree.Element) -> None:
    """Remove metadata, styles (which would hold for the whole page), empty groups, and the space between elements."""
    for child in list(element):
        prune(child)
        if local(child.tag) in ("metadata", "style") or (local(child.tag) in ("g", "defs") and not len(child)):
            element.remove(child)
        child.tail = None
    if len(element):
        element.text = None


def local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition("}")[2]


def refer(element: ElementTree.Element, prefix: str) -> None:
    """Give ids and references to them a prefix, and make marks of the ids of groups."""
    if element.get("href", "").startswith("#"):
        element.set("href", f"#{prefix}-{element.attrib['href'][1:]}")
    if "clip-path" in element.attrib:
        element.set("clip-path", REFERENCE.sub(rf"url(#{prefix}-\1)", element.attrib["clip-path"]))
    identifier = element.attrib.pop("id", "")
    kind, _, content = identifier.partition(" ")
    if element.tag != "g" and identifier:
        element.set("id", f"{prefix}-{identifier}")
    elif content and kind in ROWS:
        element.attrib |= {"class": kind, "data-row": content}
    elif content:
        element.attrib |= {"class": kind, "data-metrics": content}


def classify(element: ElementTree.Element) -> None:
    """Add classes for the colours of an element."""
    paints = [(kind, CLASSES[color]) for kind, color in PAINT.findall(element.get("style", "")) if color in CLASSES]
    words = [element.get("class", ""), *(kind for kind, _ in paints), *(name for _, name in paints)]
    if paints:
        element.set("class", " ".join(dict.fromkeys(filter(None, words))))
