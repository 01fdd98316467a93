"""Whether many images cost as much each as few, in time and in memory, and how soon a killed run goes on: SCALE.md.

    OMP_NUM_THREADS=1 python experiments/speed/scale.py

Real runs of ``invert.py``, cheap per image: the shipped network, without optimisation. What an image costs is taken
between the first and the last batch, and what joining and reporting cost from there on. The largest run is killed with
SIGKILL when most of it is done, and started again with the same command. Seconds are those of the processor, which are
those of the clock where nothing else runs, unless something else is said.
"""

import argparse
import math
import shutil
import statistics
from pathlib import Path

from watching import Seen, follow

from zstar.reports.numbers import show

WORDS = ["projector=[encoder]", "loss=[pixel]", "metric=[psnr]", "logger=none"]
COLUMNS = ("images", "ms per image", "first tenth", "last tenth", "joining and report, s", "peak memory, MiB")


def measure(size: int, batch: int, folder: Path, kill: bool) -> str:
    """One run: a line of the table, and what became of it after its kill."""
    output = (folder / str(size)).absolute()
    output.mkdir(parents=True)
    words, total = [*WORDS, f"data.count={size}", f"batch_size={batch}", f"output={output}"], -(-size // batch)
    place, parts = (output, "*/parts/[0-9]*.json", folder / f"{size}.log"), []
    if kill:
        parts.append(follow(words, *place, stop=lambda seen: len(seen.marks) >= 0.9 * total))
    parts.append(follow(words, *place))
    gaps = [1e3 * gap / batch for part in parts for gap in spent(part)] or [math.nan]  # of one batch there is none
    tenth = max(1, len(gaps) // 10)
    mean, early, late = (show(statistics.fmean(values), 2) for values in (gaps, gaps[:tenth], gaps[-tenth:]))
    last = parts[-1].marks[-1].processor if parts[-1].marks else 0.0  # all was done before the kill
    joining = parts[-1].end.processor - last
    memory = max(part.memory for part in parts)
    line = f"| {size:,} | {mean} | {early} | {late} | {joining:.2f} | {memory:.0f} |"
    if not kill:
        return line
    if len(parts[0].marks) >= total:
        return f"{line}\n\nToo small to be killed on its way: all {total} batches were done."
    first, again = (part.marks[0] for part in parts)
    return (
        f"{line}\n\nKilled after {len(parts[0].marks)} of {total} batches. Started again, the first new batch was "
        f"there after {again.processor:.1f} s ({again.clock:.1f} s of the clock); from nothing, the first batch takes "
        f"{first.processor:.1f} s ({first.clock:.1f} s of the clock)."
    )


def spent(part: Seen) -> list[float]:
    """Seconds of the processor between one batch and the next."""
    return [b.processor - a.processor for a, b in zip(part.marks, part.marks[1:], strict=False)]


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=Path("outputs/speed/scale"))
    given = parser.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    print(f"| {' | '.join(COLUMNS)} |\n|" + "---|" * len(COLUMNS))
    for size in given.sizes:
        print(measure(size, given.batch, given.folder, kill=size == given.sizes[-1]), flush=True)


if __name__ == "__main__":
    main()
