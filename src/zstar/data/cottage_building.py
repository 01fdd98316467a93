"""The building: a cottage under a hipped roof or a chapel under a dome, seen with one side in shade."""

import torch
from torch import Tensor

from zstar.data.cottage_palette import Palette
from zstar.data.cottage_shapes import Canvas

BASE, EAVE = 0.83, 0.585  # bottom and top of the walls


def draw_building(canvas: Canvas, palette: Palette, f: dict[str, Tensor]) -> None:
    """Draw the building from front to back: openings, roof or dome, walls, chimney."""
    half = f["house_width"] / 2
    corner = f["house_x"] + 0.62 * half  # where the front meets the shaded side
    front, face = f["house_x"] - 0.19 * half, 1.62 * half  # centre and width of the front
    base, eave = torch.full_like(half, BASE), torch.full_like(half, EAVE)
    _draw_openings(canvas, palette, f, front, face, base)
    cottage = 1 - f["is_chapel"]
    _draw_roof(canvas, palette, f, half, corner, eave, cottage)
    _draw_dome(canvas, palette, f, half, eave)
    dark = canvas.inside(canvas.x - corner)
    under = 0.16 * (1 - (canvas.y - eave) / 0.06).clamp(0, 1)
    shade = (1 - 0.24 * dark) * (1 - under)
    canvas.draw("wall", canvas.box(f["house_x"], half, eave - 0.01, base), palette.wall, shade)
    _draw_chimney(canvas, palette, f, half, eave, cottage * f["chimney_present"])


def _draw_openings(
    canvas: Canvas, palette: Palette, f: dict[str, Tensor], front: Tensor, face: Tensor, base: Tensor
) -> None:
    """An arched door that can slide between two windows with light frames."""
    x, half = front + 0.1 * face * f["door_x"], 0.125 * face
    spring = base - 0.115  # where the arch begins
    arch = canvas.inside(canvas.depth(x, spring, half, half)).mul_(canvas.inside(spring - canvas.y))
    door = canvas.box(x, half, spring, base).add_(arch)
    canvas.draw("door", door.mul_(f["door_present"]), palette.door, 1.15 - 0.3 * (canvas.x - x + half) / (2 * half))
    half = 0.095 * face * f["window_size"]
    left, right = front - 0.345 * face, front + 0.345 * face
    middle, tall = base - 0.122, half * 1.15
    columns = canvas.columns(left - half, left + half) + canvas.columns(right - half, right + half)
    pane = columns * canvas.rows(middle - tall, middle + tall)
    canvas.draw("window", pane.mul_(f["window_present"]), palette.pane)
    half, tall = half + 0.014, tall + 0.014
    columns = canvas.columns(left - half, left + half) + canvas.columns(right - half, right + half)
    frame = columns * canvas.rows(middle - tall, middle + tall)
    canvas.draw("window", frame.mul_(f["window_present"]), palette.frame)


def _draw_roof(
    canvas: Canvas, palette: Palette, f: dict[str, Tensor], half: Tensor, corner: Tensor, eave: Tensor, cottage: Tensor
) -> None:
    """A hipped roof with overhang whose right-hand face lies in shade."""
    top, bottom = eave - f["roof_height"], eave + 0.012
    ridge, gutter = 0.62 * half, 1.14 * half
    cover = canvas.trapezoid(f["house_x"], ridge, gutter, top, bottom).mul_(cottage)
    down = (canvas.y - top) / (bottom - top)
    edge = f["house_x"] + ridge + down * (corner - f["house_x"] - ridge)
    shade = 1 - 0.27 * canvas.inside(canvas.x - edge)
    canvas.draw("roof", cover, palette.roof, shade * (1.16 - 0.22 * down))


def _draw_dome(canvas: Canvas, palette: Palette, f: dict[str, Tensor], half: Tensor, eave: Tensor) -> None:
    """A dome with a finial on a low drum above a cornice."""
    x, chapel = f["house_x"], f["is_chapel"]
    height, radius, drum = 0.95 * f["roof_height"], 0.74 * half, eave - 0.055
    side = ((canvas.x - x) / radius).clamp(-1, 1)
    top = drum - height
    finial = canvas.box(x, 0.012, top - 0.055, top + 0.01)
    ball = canvas.inside(canvas.depth(x, top - 0.055, 0.024, 0.024))
    canvas.draw("dome", finial.maximum(ball).mul_(chapel), palette.roof, torch.full_like(x, 1.15))
    dome = canvas.inside(canvas.depth(x, drum, radius, height)).mul_(canvas.inside(drum - canvas.y))
    canvas.draw("dome", dome.mul_(chapel), palette.roof, 1.06 - 0.2 * side - 0.16 * side.square())
    cornice = canvas.box(x, 1.06 * half, eave - 0.012, eave + 0.016)
    canvas.draw("wall", cornice.mul_(chapel), palette.wall, torch.full_like(x, 1.06))
    body = canvas.box(x, 0.82 * half, drum, eave)
    canvas.draw("wall", body.mul_(chapel), palette.wall, 0.92 - 0.14 * side)


def _draw_chimney(
    canvas: Canvas, palette: Palette, f: dict[str, Tensor], half: Tensor, eave: Tensor, present: Tensor
) -> None:
    """A chimney behind the roof, with a darker cap."""
    x, top = f["house_x"] - 0.42 * half, eave - f["roof_height"] - 0.075
    cap = canvas.box(x, 0.05, top, top + 0.026)
    canvas.draw("chimney", cap.mul_(present), palette.chimney, torch.full_like(x, 0.8))
    stack = canvas.box(x, 0.038, top, eave)
    canvas.draw("chimney", stack.mul_(present), palette.chimney, 1.0 - 3.0 * (canvas.x - x).clamp(-0.04, 0.04))
