"""What a cell of a sweep costs besides its work: prints the table of SWEEP.md.

    OMP_NUM_THREADS=1 python experiments/speed/sweep.py --cells 1000
    OMP_NUM_THREADS=1 python experiments/speed/sweep.py --cells 200 --before ../zstar-before --rounds 3

A real sweep of ``invert.py`` in one process, whose cells have next to nothing to do: one image, and the prior's mean
for it. What a cell costs is taken between the files in which two cells one after the other say how they ended: seconds
of the processor, with those of the programs that it calls, which are those of the clock where nothing else runs.
``--before`` is a checkout of an earlier commit with an environment of its own, made by ``make``; both sweep by turns.
"""

import argparse
import shutil
from pathlib import Path
from statistics import median

from watching import ROOT, follow

WORDS = ["data.count=1", "steps=1", "projector=[mean]", "loss=[pixel]", "metric=[psnr]", "logger=none"]
COLUMNS = (
    "of",
    "cells",
    "s per cell",
    "first tenth",
    "last tenth",
    "s of the clock",
    "until the first, s",
    "peak memory, MiB",
)


def measure(root: Path, title: str, cells: int, folder: Path) -> float:
    """Sweep with the ``invert.py`` of a checkout, print a row, and return the seconds per cell."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    words = ["-m", f"data.first=range(0,{cells})", *WORDS, f"output={folder}/runs", f"hydra.sweep.dir={folder}/all"]
    seen = follow(words, folder, "all/cells/[0-9]*.json", folder / "log.txt", root=root)
    marks = seen.marks
    assert len(marks) == cells, f"{len(marks)} cells have ended; see {folder}/log.txt"
    tenth = max(1, (cells - 1) // 10)
    mean = (marks[-1].processor - marks[0].processor) / (cells - 1)
    early = (marks[tenth].processor - marks[0].processor) / tenth
    late = (marks[-1].processor - marks[-1 - tenth].processor) / tenth
    clock = (marks[-1].clock - marks[0].clock) / (cells - 1)
    print(
        f"| {title} | {cells:,} | {mean:.3f} | {early:.3f} | {late:.3f} | {clock:.3f} | {marks[0].processor:.1f} | "
        f"{seen.memory:.0f} |",
        flush=True,
    )
    return mean


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[1000], help="of each sweep, 2 or more")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("outputs/speed/sweep"))
    arguments = parser.parse_args()
    if min(arguments.cells) < 2:
        parser.error("--cells: what a cell costs is taken between two of them; give 2 or more")
    roots = ({"before": arguments.before.resolve()} if arguments.before else {}) | {"now": ROOT}
    print(f"| {' | '.join(COLUMNS)} |\n|" + "---|" * len(COLUMNS))
    for cells in arguments.cells:
        seconds: dict[str, list[float]] = {title: [] for title in roots}
        for _ in range(arguments.rounds):
            for title, root in roots.items():
                folder = (arguments.folder / f"{title}-{cells}").absolute()
                seconds[title].append(measure(root, title, cells, folder))
        if arguments.before:
            print(f"\nnow / before, {cells:,} cells: {median(seconds['now']) / median(seconds['before']):.2f}\n")


if __name__ == "__main__":
    main()
