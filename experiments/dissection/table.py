"""Finished dissections → the tables of README.md, and their pictures into a folder.

python experiments/dissection/table.py outputs/dissection/causality_* --figures experiments/dissection
"""

import argparse
import shutil
from pathlib import Path

import polars as pl

from zstar.runs.results import scan_rows

TENTH = 0.1
SHOWN = ("curves_*.png", "switched_*.png", "where_*.png", "changes_all.png", "switched.png")


def read(folder: Path, name: str) -> pl.DataFrame:
    """A table of an analysis."""
    return scan_rows(folder / f"{name}.parquet").collect()


def percent(value: float | None, digits: int = 0) -> str:
    """A share as a percentage; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def show(columns: list[str], rows: list[list[str]]) -> None:
    """A table in Markdown."""
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def causality(folder: Path) -> None:
    """What the best sets do, what else changes, and the rankings beside each other."""
    best, leakage, curve = (read(folder, name) for name in ("best", "leakage", "curve"))
    rows = []
    for row in best.iter_rows(named=True):
        others = leakage.filter((pl.col("class") == row["class"]) & pl.col("net").is_not_null())
        worst = others.sort(pl.col("net").abs(), descending=True).row(0, named=True) if len(others) else None
        inside = sum(abs(one) <= 0.1 for one in others["net"].to_list())
        rows.append(
            [row["class"], row["layer"], row["method"], percent(1 - row["kept_share"]),
             "–" if worst is None else f"{worst['other']} {100 * worst['net']:+.0f} %", f"{inside} of {len(others)}",
             percent(row["worst"]), percent(row["inserted"]),
             "–" if row["effect"] is None else f"{row['effect']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"]
        )  # fmt: skip
    show(["class", "layer", "ranked by", "removed", "area that changes most elsewhere", "areas within 10 %",
          "most pixels moved", "inserted", "effect, share of a box [95 %]"], rows)  # fmt: skip
    most = curve["units"].max()
    methods = curve["method"].unique(maintain_order=True).to_list()
    rows = []
    for (name, layer), some in curve.filter(units=most).group_by("class", "layer", maintain_order=True):
        found = {row["method"]: row for row in some.iter_rows(named=True)}
        cells = [f"{percent(found[one]['kept_share'])}, {percent(found[one]['net'])}" for one in methods]
        rows.append([name, layer, *cells])
    print(
        f"Pixels of the class that are left with {most} units off, and the most change of another area, by ranking:\n"
    )
    show(["class", "layer", *methods], rows)


def relations(folder: Path) -> None:
    """The changes of other classes that are more than a tenth in some kind of scene, by kind; in brackets those whose
    interval has zero in it."""
    table = read(folder, "changes").filter(pl.col("other") != pl.col("class"))
    sure = (pl.col("low") > 0) | (pl.col("high") < 0)
    kinds = table["kind"].unique(maintain_order=True).to_list()
    rows = []
    for (name, other), some in table.with_columns(sure=sure).group_by("class", "other", maintain_order=True):
        if some.filter(pl.col("sure") & (pl.col("share").abs() > TENTH)).is_empty():
            continue
        found = {row["kind"]: row for row in some.iter_rows(named=True) if row["share"] is not None}
        cells = [
            (f"{100 * found[kind]['share']:+.0f} %", found[kind]["sure"]) if kind in found else ("–", True)
            for kind in kinds
        ]
        rows.append([f"{name} off", other, *(text if plain else f"({text})" for text, plain in cells)])
    show(["units", "what changes elsewhere", *kinds], rows)


def placing(folder: Path) -> None:
    """For each class, what was there and whether it appears."""
    rows = [
        [row["class"], row["was"], percent(row["appeared"]), f"[{percent(row['low'])}, {percent(row['high'])}]",
         f"{127.5 * row['change']:.0f}", str(row["boxes"])]
        for row in read(folder, "was").iter_rows(named=True)
    ]  # fmt: skip
    show(["class", "on", "appears", "[95 %]", "change of the box, of 255", "boxes"], rows)


def artefacts(folder: Path) -> None:
    """The kernel distance before and after."""
    rows = [
        [row["method"], row["layer"], str(row["units"]),
         f"{row['kid']:.3f} [{row['kid_low']:.3f}, {row['kid_high']:.3f}]",
         f"{row['change']:+.3f} [{row['change_low']:+.3f}, {row['change_high']:+.3f}]"]
        for row in read(folder, "kid").iter_rows(named=True)
    ]  # fmt: skip
    show(["units off", "layer", "number", "KID [95 %]", "change [95 %]"], rows)


def main() -> None:
    """Print, copy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/dissection"))
    given = parser.parse_args()
    given.figures.mkdir(parents=True, exist_ok=True)
    for run in given.runs:
        for analysis in (causality, relations, placing, artefacts):
            folder = run / analysis.__name__
            if folder.is_dir():
                analysis(folder)
                for pattern in SHOWN:
                    for path in folder.glob(pattern):
                        name = path.name if path.name != "switched.png" else "artefacts.png"
                        shutil.copy(path, given.figures / name)


if __name__ == "__main__":
    main()
