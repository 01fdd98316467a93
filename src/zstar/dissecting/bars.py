"""Bars of classes over layers, as an SVG."""

from collections.abc import Mapping, Sequence
from html import escape

import polars as pl

WIDTH, ROW, LEFT, RIGHT, TOP = 440, 24, 82, 36, 4
FEW = (  # told apart by most eyes, light enough for dark paper and dark enough for light
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#9c755f",
    "#76b7b2", "#d4a72c", "#ff9da7", "#7f7f7f", "#2f9e8f", "#a6a63b",
)  # fmt: skip


def colours(classes: Sequence[str]) -> dict[str, str]:
    """A colour for each class; of more than twelve, others are evenly spaced in hue."""
    if len(classes) <= len(FEW):
        return dict(zip(classes, FEW, strict=False))
    return {name: f"hsl({360 * i / len(classes):.0f} 45% {45 + 12 * (i % 2)}%)" for i, name in enumerate(classes)}


def bars(table: pl.DataFrame, column: str, shades: Mapping[str, str], label: str) -> str:
    """A stacked bar of classes for each layer, its whole number at the end, and a tick where shuffled masks come to.

    Arguments:
        table: Rows of layer, class, ``units``, ``shuffled`` and ``beyond``.
        column: What the bars are long by.
    """
    layers = list(dict.fromkeys(table["layer"]))
    most = max(1, *(int(table.filter(pl.col("layer") == one)[column].sum()) for one in layers))
    if column == "units":
        most = max(most, *(int(table.filter(pl.col("layer") == one)["shuffled"].sum()) for one in layers))
    scale = (WIDTH - LEFT - RIGHT) / most
    height = TOP + ROW * len(layers)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" class="bars" viewBox="0 0 {WIDTH} {height}" role="img"']
    parts.append(f' aria-label="{escape(label)}">')
    for i, layer in enumerate(layers):
        y, x, total = TOP + i * ROW, float(LEFT), 0
        parts.append(f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(layer[-12:])}</text>')
        rows = table.filter(pl.col("layer") == layer)
        for row in rows.to_dicts():
            width, total = row[column] * scale, total + row[column]
            if row[column]:
                title = f"<title>{escape(layer)}: {row[column]} of {escape(row['class'])}</title>"
                box = f'x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 8}"'
                parts.append(f'<rect {box} fill="{shades[row["class"]]}">{title}</rect>')
            x += width
        if column == "units":
            place = LEFT + int(rows["shuffled"].sum()) * scale
            parts.append(f'<path class="tick" d="M{place:.1f} {y}v{ROW - 2}"/>')
        parts.append(f'<text x="{max(x, LEFT) + 8:.1f}" y="{y + 15}">{total}</text>')
    return "".join(parts) + "</svg>"
