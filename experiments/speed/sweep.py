"""What a cell of a sweep costs besides its work: prints the table of SWEEP.md.

    OMP_NUM_THREADS=1 python experiments/speed/sweep.py --cells 1000

A real sweep of ``invert.py`` in one process, whose cells have next to nothing to do: one image, and the prior's mean
for it. What a cell costs is taken between the files in which two cells one after the other say how they ended: seconds
of the processor, with those of the programs that it calls, which are those of the clock where nothing else runs.
"""

import argparse
import shutil
from pathlib import Path

from watching import follow

WORDS = ["data.count=1", "steps=1", "projector=[mean]", "loss=[pixel]", "metric=[psnr]", "logger=none"]
COLUMNS = (
    "cells",
    "s per cell",
    "first tenth",
    "last tenth",
    "s of the clock",
    "until the first, s",
    "peak memory, MiB",
)


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[1000])
    parser.add_argument("--folder", type=Path, default=Path("outputs/speed/sweep"))
    given = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|" + "---|" * len(COLUMNS))
    for cells in given.cells:
        folder = (given.folder / str(cells)).absolute()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        words = ["-m", f"data.first=range(0,{cells})", *WORDS, f"output={folder}/runs", f"hydra.sweep.dir={folder}/all"]
        seen = follow(words, folder, "all/cells/[0-9]*.json", folder / "log.txt")
        marks = seen.marks
        assert len(marks) == cells, f"{len(marks)} cells have ended; see {folder}/log.txt"
        tenth = max(1, (cells - 1) // 10)
        mean = (marks[-1].processor - marks[0].processor) / (cells - 1)
        early = (marks[tenth].processor - marks[0].processor) / tenth
        late = (marks[-1].processor - marks[-1 - tenth].processor) / tenth
        clock = (marks[-1].clock - marks[0].clock) / (cells - 1)
        print(
            f"| {cells:,} | {mean:.3f} | {early:.3f} | {late:.3f} | {clock:.3f} | {marks[0].processor:.1f} | "
            f"{seen.memory:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
