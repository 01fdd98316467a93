"""How long a program takes before it has anything to do: prints the table of STARTUP.md.

    python experiments/speed/startup.py --before ../zstar-before --repeats 7

``--before`` is a checkout of an earlier commit with an environment of its own, made by ``make``. Both do the same
things, by turns, so that whatever else the machine does falls on both alike. Seconds are those of the processor and of
the clock.
"""

import argparse
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
RUN = ["invert.py", "data.count=1", "steps=1"]
NOTHING = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPYCACHEPREFIX": "/nonexistent",
}  # no bytecode, neither read nor written
WAYS = {
    "`python -c 'import torch'`": (["-c", "import torch"], {}),
    "`python invert.py --help`": (["invert.py", "--help"], {}),
    "`python invert.py` of a finished run, logger=none": ([*RUN, "logger=none"], {}),
    "`python invert.py` of a finished run, logger=wandb": ([*RUN, "logger=wandb"], {}),
    "the same without any bytecode": ([*RUN, "logger=wandb"], NOTHING),
}


def call(root: Path, words: list[str], extra: dict[str, str], output: Path) -> tuple[float, float]:
    """Seconds of the processor and of the clock that a program of a checkout takes."""
    place = [f"output={output}"] if words[0] == "invert.py" and "--help" not in words else []
    environment = {**os.environ, "WANDB_MODE": "offline", **extra}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [root / ".venv/bin/python", *words, *place]
    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)
    after, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, clock


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    roots = {"before": arguments.before.resolve(), "after": ROOT}
    columns = ["processor, before", "after", "ratio", "clock, before", "after", "ratio"]
    print(f"| seconds | {' | '.join(columns)} |\n|" + "---|" * 7)
    with tempfile.TemporaryDirectory() as folder:
        places = {name: Path(folder) / name for name in roots}
        for name, root in roots.items():
            call(root, [*RUN, "logger=none"], {}, places[name])  # the run that is finished from here on
        for title, (words, extra) in WAYS.items():
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in roots}
            for _ in range(arguments.repeats):
                for name, root in roots.items():
                    taken[name].append(call(root, words, extra, places[name]))
            cells = []
            for kind in (0, 1):
                before, after = (median(seconds[kind] for seconds in taken[name]) for name in roots)
                cells += [f"{before:.2f}", f"{after:.2f}", f"{after / before:.2f}"]
            print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
