"""The picture of the cottage world: its things, their places and their colours."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.data.cottage_building import draw_building
from zstar.data.cottage_factors import FACTORS
from zstar.data.cottage_palette import Palette
from zstar.data.cottage_shapes import Canvas

CLASSES: tuple[str, ...] = (
    "sky", "sun", "cloud", "hill", "grass", "tree", "wall", "roof", "dome", "chimney", "door", "window",
)  # fmt: skip
GROUND = 0.86  # where the trees stand
CHUNK = 2**18  # pixels drawn at once: few enough that a field stays in the processor's cache


def render(
    factors: Float[Tensor, "b k"], resolution: int = 64
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b c h w"]]:
    """Draw images from their factors (columns as in ``FACTORS``); deterministic, and each image on its own.

    Returns:
        Images in [−1, 1], and for each of ``CLASSES`` the share of each pixel that it is seen in (they sum to 1).
        Flags between 0 and 1 fade their object in. Factors of an absent object change nothing.

    Raises:
        ValueError: ``factors`` has another number of columns than there are factors.
    """
    if factors.shape[1] != len(FACTORS):
        raise ValueError(f"factors has {factors.shape[1]} columns; give the {len(FACTORS)} of cottages.FACTORS.")
    images = factors.new_zeros(len(factors), 3, resolution, resolution)
    masks = factors.new_zeros(len(factors), len(CLASSES), resolution, resolution)
    size = max(1, CHUNK // resolution**2)
    for part in zip(factors.split(size), images.split(size), masks.split(size), strict=True):
        _draw(*part)
    return images.clamp_(0, 1).mul_(2).sub_(1), masks


def _draw(factors: Tensor, images: Tensor, masks: Tensor) -> None:
    """Draw a few images, from the nearest thing to the furthest, into ``images`` (0 to 1) and ``masks``."""
    f = {name: column.view(-1, 1, 1, 1) for name, column in zip(FACTORS, factors.unbind(1), strict=True)}
    canvas = Canvas(images, masks, CLASSES)
    palette = Palette(f)
    _draw_tree(canvas, palette, f["tree_left_x"], f["tree_size"], f["tree_left_present"], slim=1.0)
    _draw_tree(canvas, palette, f["tree_right_x"], f["tree_size"], f["tree_right_present"], slim=0.74)
    draw_building(canvas, palette, f)
    _draw_land(canvas, palette, f)
    _draw_sky(canvas, palette, f)


def _draw_tree(canvas: Canvas, palette: Palette, x: Tensor, size: Tensor, present: Tensor, slim: float) -> None:
    """A crown of three round masses, lit from the upper left, on a trunk; a slim one is tall like a poplar."""
    width, height = 0.1 * slim * size, 0.115 * (2 - slim) * size
    middle = GROUND - 0.07 * size - height
    crown = canvas.depth(x, middle, width, height)
    for side in (-1, 1):
        crown = crown.maximum(canvas.depth(x + side * 0.5 * width, middle + 0.45 * height, 0.72 * width, 0.5 * height))
    light = 0.4 * canvas.glow(x - 0.35 * width, middle - 0.4 * height, 1.5 * width, 1.3 * height)
    canvas.draw("tree", canvas.inside(crown).mul_(present), palette.leaves, light.add_(0.86))
    trunk = canvas.box(x, 0.02 * size, middle + 0.5 * height, torch.full_like(x, GROUND))
    canvas.draw("tree", trunk.mul_(present), palette.trunk)


def _draw_land(canvas: Canvas, palette: Palette, f: dict[str, Tensor]) -> None:
    """Grass with soft shadows, a near and a far ridge."""
    x, y = canvas.x, canvas.y
    meadow = canvas.inside(y - (0.685 + 0.02 * torch.cos(5.0 * (x - 0.45))))
    shade = 1.12 - 0.9 * (y - 0.66)
    shadow = canvas.glow(f["house_x"] + 0.06, torch.full_like(x[:, :, :, :1], 0.825), 0.72 * f["house_width"], 0.05)
    for side in ("left", "right"):
        spot = canvas.glow(f[f"tree_{side}_x"] + 0.02, torch.full_like(f["tree_size"], GROUND), 0.15, 0.03)
        shadow = shadow.maximum(spot.mul_(f[f"tree_{side}_present"]))
    canvas.draw("grass", meadow, palette.grass, shade * (1 - 0.38 * shadow))
    rise = 0.5 + f["hill_height"]
    near = 0.665 - 0.07 * rise * (1 + torch.sin(6.2 * x + 3.4)) - 0.01
    canvas.draw("hill", canvas.inside(y - near), palette.near_hill, 1.06 - 1.2 * (y - near).clamp(0, 0.2))
    far = 0.6 - 0.075 * rise * (1 + torch.sin(7.5 * x + 0.4) * 0.7 + 0.3 * torch.sin(3.1 * x + 2.0))
    canvas.draw("hill", canvas.inside(y - far), palette.far_hill)


def _draw_sky(canvas: Canvas, palette: Palette, f: dict[str, Tensor]) -> None:
    """Clouds before the sun before the gradient of the sky."""
    for side, x, y, size in (("left", 0.22, 0.24, 1.0), ("right", 0.77, 0.15, 0.9)):
        centre, level = f["cloud_x"] + x, torch.full_like(f["cloud_x"], y)
        puffs = canvas.depth(centre, level, 0.09 * size, 0.075 * size)
        for shift, width, height in ((-0.085, 0.07, 0.05), (0.08, 0.08, 0.055)):
            puffs = puffs.maximum(canvas.depth(centre + shift * size, level + 0.018, width * size, height * size))
        cover = canvas.inside(puffs).mul_(canvas.inside(level + 0.045 * size - canvas.y))
        shade = 1.03 - 1.6 * (canvas.y - level + 0.04).clamp(0, 0.1)
        canvas.draw("cloud", cover.mul_(f[f"cloud_{side}_present"]), palette.cloud, shade)
    time, present = f["time_of_day"], f["sun_present"]
    level = 0.13 + 0.25 * time.square()
    disc = canvas.inside(canvas.depth(f["sun_x"], level, 0.062 + 0.018 * time, 0.062 + 0.018 * time))
    canvas.draw("sun", disc.mul_(present), palette.sun)
    canvas.draw("sun", canvas.glow(f["sun_x"], level, 0.19, 0.19).mul_(0.55 * present), palette.halo)
    canvas.fill("sky", palette.sky(canvas.y))
