"""The short table of README.md, of the rows of one budget.

python experiments/leaderboard/table.py experiments/leaderboard/cottages/leaderboard.json 150
"""

import json
import sys
from pathlib import Path

from zstar.benchmark.columns import MARKS
from zstar.reports.numbers import with_interval

PLACES = {"psnr": 2, "perceptual": 4, "leakage": 4}


def main() -> None:
    """A row per method: those of the budget, and those that no budget limits."""
    board, budget = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2]
    for row in board["rows"]:
        if row["budgets"] and f"{budget} evaluations" not in row["budgets"]:
            continue
        entries = [f"`{row['method']}`", row["space"], str(row["seeds"])]
        for name in (name for name in PLACES if name in row["values"]):
            value, places = row["values"][name], PLACES[name]
            text = with_interval(value["mean"], value["low"], value["high"], places)
            entries.append(f"{text} {MARKS.get(value['verdict'], '')}".rstrip())
        cost = [f"{row['values']['evaluations']['mean']:.0f}", f"{row['values']['seconds']['mean']:.2g}"]
        print(f"| {' | '.join([*entries, *cost])} |")


if __name__ == "__main__":
    main()
