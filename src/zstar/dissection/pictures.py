"""Pictures of analyses: sheets, figures and overlays."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from zstar.images import enlarge, grid, to_float

# Okabe and Ito's colours, which colour-blind people can tell apart.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#141414", "#8c6d1f")
DPI = 110
YELLOW = (1.0, 0.85, -0.9)  # in [−1, 1]


def drawn(figure: Figure) -> Float[Tensor, "3 h w"]:
    """A figure as a picture."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    return to_float(np.asarray(Image.open(buffer).convert("RGB")).copy())


def sheet(rows: Sequence[Float[Tensor, "b c h w"]]) -> Float[Tensor, "c h2 w2"]:
    """Rows of pictures, one above the other, pixels two or three times as large."""
    return grid(enlarge(torch.cat([row.clamp(-1, 1).cpu() for row in rows])), len(rows[0]), gap=4)


def outlined(images: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c h w"]:
    """Pictures with a yellow line around what is in the mask."""
    inside = mask.to(images) > 0
    grown = torch.nn.functional.max_pool2d(inside.float(), 3, 1, 1) > 0
    colour = images.new_tensor(YELLOW).view(1, 3, 1, 1) if images.shape[1] == 3 else images.new_ones(1, 1, 1, 1)
    return torch.where(grown & ~inside, colour, images)


def overlaid(image: Float[Tensor, "c h w"], share: Float[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """A grey picture with yellow over it, the more the higher the share in [0, 1]."""
    grey = 0.75 * image.mean(dim=0, keepdim=True).expand(3, -1, -1)
    return grey.lerp(grey.new_tensor(YELLOW).view(3, 1, 1).expand_as(grey), 0.85 * share.clamp(0, 1)[None])


def panels(count: int, columns: int = 4, width: float = 2.6, height: float = 2.1) -> tuple[Figure, list]:
    """A figure with so many panels; those that are left over stay empty."""
    rows = -(-count // columns)
    columns = min(columns, count)
    figure = Figure(figsize=(width * columns, height * rows + 0.5), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).ravel())
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(color="#e3e3e3", linewidth=0.6)
        one.tick_params(labelsize=8)
    for one in axes[count:]:
        one.set_visible(False)
    return figure, axes[:count]


def curves(
    lines: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], x: str, y: str, title: str
) -> Float[Tensor, "3 h w"]:
    """A panel for each name with a line for each of its series of points."""
    figure, axes = panels(len(lines))
    kinds = list(dict.fromkeys(kind for series in lines.values() for kind in series))
    for axis, (name, series) in zip(axes, lines.items(), strict=True):
        for kind, points in series.items():
            axis.plot(
                *zip(*points, strict=True), "o-", markersize=3, linewidth=1.3, color=COLORS[kinds.index(kind) % 8]
            )
        axis.set_title(name, fontsize=9)
        axis.set_ylim(-0.03, 1.05)
        axis.set_xlabel(x, fontsize=8)
        axis.set_ylabel(y, fontsize=8)
    marks = [axes[0].plot([], [], "o-", markersize=3, color=COLORS[i % 8])[0] for i in range(len(kinds))]
    figure.legend(marks, kinds, loc="outside lower center", ncols=len(kinds), frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return drawn(figure)


def heat(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str) -> Float[Tensor, "3 h w"]:
    """A table of numbers in [−1, 1] in colours, with the numbers in it as percentages; not-a-number is left white."""
    figure = Figure(figsize=(1.6 + 0.55 * len(columns), 1.4 + 0.33 * len(rows)), layout="constrained")
    axis = figure.subplots()
    axis.imshow(values, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    axis.set_xticks(range(len(columns)), columns, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    for i, j in zip(*np.nonzero(np.isfinite(values)), strict=True):
        dark = abs(values[i, j]) > 0.6
        axis.text(j, i, f"{100 * values[i, j]:+.0f}", ha="center", va="center", fontsize=7, color="w" if dark else "k")
    axis.set_title(title, fontsize=10)
    return drawn(figure)
