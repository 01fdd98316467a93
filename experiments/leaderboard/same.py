"""Whether two folders hold the same runs with the same values, whoever carried them out.

python experiments/leaderboard/same.py outputs/leaderboard/cottages outputs/leaderboard/again

Compared bit by bit are all values of all images, seconds apart.
"""

import sys
from pathlib import Path

import polars as pl


def values(folder: Path) -> pl.DataFrame:
    """What a run has measured, in one order."""
    found = pl.read_parquet(folder / "results.parquet", glob=False).drop("seconds")
    found = found.filter(~pl.col("metric").str.ends_with("seconds"))
    keys = [name for name in found.columns if name != "value"]
    return found.sort(keys)


def main() -> None:
    """Say how many runs are equal, and name those that are not."""
    first, second = (Path(word) for word in sys.argv[1:])
    names = [{path.parent.name for path in top.glob("*/results.parquet")} for top in (first, second)]
    both = sorted(names[0] & names[1])
    different = [name for name in both if not values(first / name).equals(values(second / name), null_equal=True)]
    alone = sorted(names[0] ^ names[1])
    print(f"{len(both) - len(different)} of {len(both)} runs equal bit by bit; {len(alone)} in one folder only")
    for name in [*different, *alone]:
        print(name)


if __name__ == "__main__":
    main()
