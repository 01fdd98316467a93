"""Layers of strokes: read from their files, and drawn as targets of an image."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageChops
from torch import Tensor

from zstar.data.decoding import BadImage, decode_layer
from zstar.data.handles import Handle, place_handles, read_handle
from zstar.data.reading import Fit, make_size
from zstar.images import LUMA, to_float

KINDS = ("color", "sketch", "warp", "movable")  # and points, which have no file
FOLLOWED = {  # kind → the target that says most of it, and who follows that
    "color": ("color_strokes", "loss=[color_strokes]"), "sketch": ("sketch", "loss=[sketch]"),
    "warp": ("warp", "loss=[warp]"), "movable": ("movable_mask", "projector=[saved,drag]"),
    "point": ("points", "projector=[saved,drag]"),
}  # fmt: skip
VERSION = 1
MOST_BYTES, MOST_LAYERS = 1_000_000, 100


@dataclass(frozen=True)
class Layer:
    """A layer of strokes.

    Attributes:
        kind: ``color``: colours that are wanted where it is not transparent. ``sketch``: edges that are wanted, along
            its lines, whatever their colour. ``warp``: the patch of the picture that is to be moved. ``movable``: what
            may move as points are dragged.
        file: Name of its file.
        picture: Its pixels, of mode ``RGBA``.
        by: How far the patch of ``warp`` is moved, to the right and down, in pixels of the layer.
    """

    kind: str
    file: str
    picture: Image.Image
    by: tuple[float, float] = (0.0, 0.0)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.picture.size


def read_layers(path: Path) -> list[Layer | Handle]:
    """The layers and the points that a ``strokes.json`` names.

    Raises:
        BadImage: It, or one of them, can't be used; one sentence.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadImage(f"{path.name} has more than {MOST_BYTES / 1e6:g} MB; pixels belong into its layers")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise BadImage(f"{path.name} can't be opened ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise BadImage(f"{path.name} is no JSON ({str(error)[:80]})") from None
    if not isinstance(content, dict) or content.get("kind") != "layers" or content.get("version") != VERSION:
        raise BadImage(f'{path.name} has no "kind": "layers" and "version": {VERSION}; docs/strokes.md describes it')
    entries = content.get("layers")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_LAYERS:
        raise BadImage(f"{path.name}: layers is no list of 1 to {MOST_LAYERS} of them")
    return [_read_layer(entry, path.parent, f"layers[{index}]") for index, entry in enumerate(entries)]


def drawn(layers: Sequence[Layer | Handle], image: Float[Tensor, "c h w"], fit: Fit) -> dict[str, Float[Tensor, "..."]]:
    """The targets that layers make of an image, by the names in :data:`zstar.config.check.STROKES`.

    Later layers lie over earlier ones of their kind; where there is none of a kind, its mask is 0, but for
    ``movable_mask``, which is 1: without a layer that says what may move, all may. ``points`` are as
    :func:`zstar.data.handles.place_handles` has them.

    Raises:
        BadImage: A layer is transparent everywhere, or leaves nothing within the picture, as does a point.
    """
    channels, size = image.shape[0], image.shape[-1]
    pictures = {kind: torch.zeros_like(image) for kind in KINDS}
    masks = {kind: image.new_zeros(1, size, size) for kind in KINDS}
    points = place_handles([one for one in layers if isinstance(one, Handle)], size, fit)
    layers = [one for one in layers if isinstance(one, Layer)]
    for layer in layers:
        colours, mask = _squared(layer, channels, size, fit)
        if layer.kind == "warp":
            shift = _pixels(layer, size, fit)
            colours, mask = moved(image, *shift), moved(mask, *shift)
            if not mask.any():
                raise BadImage(f"{layer.file} is moved out of the picture; let some of it stay inside")
        if layer.kind == "sketch":
            colours = torch.ones_like(image)
        masks[layer.kind], pictures[layer.kind] = over(mask, colours, masks[layer.kind], pictures[layer.kind])
    pictures["sketch"] = 2 * masks["sketch"].expand(channels, -1, -1) - 1  # bright lines on a dark ground
    if not any(layer.kind == "movable" for layer in layers):
        masks["movable"] = torch.ones_like(masks["movable"])
    names = {"color": ("color_strokes", "color_mask")}
    pairs = {kind: names.get(kind, (kind, f"{kind}_mask")) for kind in KINDS}
    targets = {pairs[kind][0]: pictures[kind] for kind in KINDS} | {pairs[kind][1]: masks[kind] for kind in KINDS}
    targets["points"] = points.to(image)
    del targets["movable"]  # whose colours say nothing
    return {name: value.contiguous() for name, value in targets.items()}


def over(
    mask: Float[Tensor, "1 h w"], colours: Float[Tensor, "c h w"], below: Float[Tensor, "1 h w"], ground: Tensor
) -> tuple[Float[Tensor, "1 h w"], Float[Tensor, "c h w"]]:
    """The mask and the colours of one layer over those of others; colours are not mixed with what is transparent."""
    whole = mask + (1 - mask) * below
    share = torch.where(whole > 0, mask / whole.clamp_min(1e-6), mask)
    return whole, torch.lerp(ground, colours, share.expand_as(colours))


def moved(image: Float[Tensor, "c h w"], dx: int, dy: int) -> Float[Tensor, "c h w"]:
    """A picture moved by whole pixels, to the right and down; what comes in from outside is 0."""
    height, width = image.shape[-2:]
    out = torch.zeros_like(image)
    if abs(dx) < width and abs(dy) < height:
        to = (..., slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0)))
        out[to] = image[..., max(-dy, 0) : height - max(dy, 0), max(-dx, 0) : width - max(dx, 0)]
    return out


def _squared(layer: Layer, channels: int, size: int, fit: Fit) -> tuple[Tensor, Tensor]:
    """Colours and mask of a layer, as a square as the image has become one."""
    alpha = layer.picture.getchannel("A")
    if alpha.getextrema()[1] == 0:
        raise BadImage(f"{layer.file} is transparent everywhere; draw something, or leave it out")
    # What is laid around a picture is white, and the mask is to be 0 there.
    clear = make_size(ImageChops.invert(alpha), (size, size), fit)
    mask = 1 - torch.from_numpy(np.array(clear, dtype=np.float32) / 255)[None]
    if not mask.any():
        raise BadImage(f"{layer.file} has no stroke within the part of the picture that is used, its middle square")
    colours = to_float(np.array(make_size(layer.picture, (size, size), fit))[..., :3])
    if channels == 1:
        colours = (colours * torch.tensor(LUMA)[:, None, None]).sum(dim=0, keepdim=True)
    return colours, mask


def _pixels(layer: Layer, size: int, fit: Fit) -> tuple[int, int]:
    """How far a patch is moved, in whole pixels of the square image."""
    width, height = layer.picture.size
    sides = (width, height) if fit == "resize" else ((min, max)[fit == "pad"](width, height),) * 2
    dx, dy = (round(way * size / side) for way, side in zip(layer.by, sides, strict=True))
    return dx, dy


def _read_layer(entry: Any, folder: Path, where: str) -> Layer | Handle:
    if not isinstance(entry, Mapping) or entry.get("kind") not in (*KINDS, "point"):
        raise BadImage(f"{where} has no kind; choose one of {', '.join((*KINDS, 'point'))}")
    if entry["kind"] == "point":
        return read_handle(entry, where)
    kind, name, by = entry["kind"], entry.get("file"), entry.get("by", (0, 0))
    wanted = {"kind", "file", "by"} if kind == "warp" else {"kind", "file"}
    if unknown := sorted(set(entry) - wanted) or sorted(wanted - set(entry)):
        raise BadImage(f"{where}: a {kind} layer has {', '.join(sorted(wanted))}, and '{unknown[0]}' does not fit that")
    if not isinstance(name, str) or Path(name).name != name or name.startswith("."):
        raise BadImage(f"{where}.file is {str(name)[:60]!r}; give the name of a PNG beside the JSON")
    pair = isinstance(by, list | tuple) and len(by) == 2 and all(type(way) in (int, float) for way in by)
    if not pair or not all(abs(way) <= 1e5 for way in by):
        raise BadImage(f"{where}.by is {str(by)[:60]!r}; give two numbers of pixels, to the right and down")
    try:
        picture = decode_layer((folder / name).read_bytes())
    except OSError as error:
        raise BadImage(f"{name} can't be opened ({error.strerror})") from None
    except BadImage as error:
        raise BadImage(f"{name}: {error}") from None
    return Layer(kind, name, picture, (float(by[0]), float(by[1])))
