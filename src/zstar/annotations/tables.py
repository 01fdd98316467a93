"""Tables of labels: comma-separated files, and CelebA's list as published."""

from collections.abc import Sequence
from pathlib import Path
from posixpath import splitext

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.paths import place
from zstar.config.reasons import reason

KEY = "annotation.path"


def read_labels(path: str | Path) -> tuple[list[str], tuple[str, ...], Float[Tensor, "n k"]]:
    """Image names, attribute names, and a score for each; empty cells are NaN, and labels of ±1 become 0 and 1.

    Arguments:
        path: Text whose first line names the columns, separated by commas, semicolons or tabs; the images' names are in
            the column ``id``, or the first. Or CelebA's ``list_attr_celeba.txt``: a count, the attributes, then rows.

    Raises:
        ValueError: There is no such file, it is no such table, or a cell is no number; one sentence.
    """
    path = place(path)
    if not path.is_file():
        raise ValueError(f"{KEY}: there is no file {path}; give a table with one row per image")
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.readline()
        table = _celeba(path) if head.strip().isdigit() else _separated(path, head)
    except (UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"{KEY}: {path} is no table that can be read ({reason(error)}); save it as CSV") from None
    ids = "id" if "id" in table.columns else table.columns[0]
    names = [name for name in table.columns if name != ids]
    if not names or not len(table):
        raise ValueError(f"{KEY}: {path} has no rows, or no column beside '{ids}'; add one column for each attribute")
    columns = torch.stack([_numbers(path, table[name]) for name in names], dim=1)
    return table[ids].cast(pl.String).fill_null("").to_list(), tuple(names), columns


def _celeba(path: Path) -> pl.DataFrame:
    """A count, the names, then a name and as many numbers in each row."""
    with path.open(encoding="utf-8") as file:
        _, head, *rows = file.read().split("\n")
    names, cells = ["id", *head.split()], [row.split() for row in rows if row.strip()]
    if wrong := next((row for row in cells if len(row) != len(names)), None):
        raise ValueError(f"{KEY}: the row {wrong[0]} of {path} has {len(wrong)} cells, not {len(names)}; mend the file")
    return pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String), orient="row")


def _separated(path: Path, head: str) -> pl.DataFrame:
    """Columns as text, so that names such as 000001 stay what they are."""
    separator = max(",;\t", key=head.count)
    return pl.read_csv(path.read_bytes(), separator=separator, infer_schema=False)


def _numbers(path: Path, column: pl.Series) -> Float[Tensor, " n"]:
    """The numbers of a column of text."""
    text = column.str.strip_chars().replace({"": None}).str.to_lowercase()
    plain = text.replace({"true": "1", "false": "0", "nan": None})
    numbers = plain.cast(pl.Float64, strict=False)
    wrong = column.filter(numbers.is_null() & plain.is_not_null())
    if len(wrong):
        raise ValueError(
            f"{KEY}: the column '{column.name}' of {path} holds {wrong[0][:40]!r}, which is no number; "
            "give 0 and 1, −1 and 1, or scores, or remove the column"
        )
    values = torch.tensor(numbers.fill_null(float("nan")).to_list(), dtype=torch.float32)
    known = values[~values.isnan()]
    signs = bool((known.abs() == 1).all()) and bool((known == -1).any())
    return (values + 1) / 2 if signs else values


def match(ids: Sequence[str], labelled: Sequence[str]) -> list[int | None]:
    """For each image the row of its labels: by its name, by its name without suffix, or by the last part of that.

    A shorter form counts only if no other row and no other image has the same one.
    """
    rows: list[int | None] = [None] * len(ids)
    for form in (str, _without_suffix, lambda name: _without_suffix(name).split("/")[-1]):
        places, images = _unique(map(form, labelled)), _unique(map(form, ids))
        for name, image in images.items():
            if rows[image] is None and name in places:
                rows[image] = places[name]
    return rows


def _without_suffix(name: str) -> str:
    return splitext(name)[0]


def _unique(names: object) -> dict[str, int]:
    """Name → its place, of the names that are there once."""
    names = list(names)
    places = {name: place for place, name in enumerate(names)}
    repeated = {name for place, name in enumerate(names) if places[name] != place}
    return {name: place for name, place in places.items() if name not in repeated}
