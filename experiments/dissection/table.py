"""Finished dissections → the tables of README.md, and their pictures into a folder.

python experiments/dissection/table.py outputs/dissection/causality_* --figures experiments/dissection
"""

import argparse
import shutil
from pathlib import Path

import polars as pl

from zstar.runs.results import scan_rows

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
    sizes = sorted(set(curve["units"].to_list()))
    rows = []
    for (name, layer, method), some in curve.group_by("class", "layer", "method", maintain_order=True):
        kept = dict(zip(some["units"], some["kept_share"], strict=True))
        last = some.sort("units").row(-1, named=True)
        rows.append([name, layer, method, *(percent(kept.get(size)) for size in sizes), percent(last["net"])])
    left = [f"left, {size} off" for size in sizes]
    show(["class", "layer", "ranked by", *left, f"most change of another area, {sizes[-1]} off"], rows)


def relations(folder: Path) -> None:
    """For each class, the changes of others that are surely some."""
    table = read(folder, "changes").filter(pl.col("other") != pl.col("class"))
    sure = table.filter((pl.col("low") > 0) | (pl.col("high") < 0)).filter(pl.col("share").abs() > 0.1)
    rows = [
        [f"{row['class']} off", row["kind"], row["other"], f"{100 * row['share']:+.0f} %", str(row["scenes"])]
        for row in sure.iter_rows(named=True)
    ]
    show(["units", "kind of scene", "what changes elsewhere", "by", "scenes"], rows)


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
