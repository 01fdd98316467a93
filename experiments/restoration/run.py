"""The runs behind README.md, and its tables and sheets. From the root of the project.

python experiments/restoration/run.py --count 32 --worlds cottages

Each run is skipped if it is finished, and goes on if it was killed. One that fails is named at the end, and the others
go on. What follows `--words` goes to every invert.py, what follows `--training` to every train.py.
"""

import argparse
import os
import subprocess
import sys

import table
from plan import METHODS, WORLDS, inversion, training


def main() -> None:
    """Make the rows that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    table.add_choices(parser)
    parser.add_argument("--words", nargs="*", default=[], help="more words for invert.py")
    parser.add_argument("--training", nargs="*", default=[], help="more words for train.py")
    given, failed = parser.parse_args(), []
    for world in given.worlds:
        if lacking := [name for name in WORLDS[world].needs if not os.environ.get(name)]:
            sys.exit(f"{world}: set {', '.join(lacking)}, as README.md says, or leave it out: --worlds cottages")
    rows = [(w, t, m) for w in given.worlds for t in given.tasks for m in given.methods]
    for world, task, method in rows:
        how = METHODS[method]
        if how.only and task not in how.only:
            continue
        encoder = None
        if how.train:
            encoder = f"outputs/restoration/{world}_networks/{task}_{method}/weights.safetensors"
            if not start("train.py", [*training(world, task, method), *given.training]):
                failed.append(f"{world} {task} {method} (training)")
                continue
        if not start("invert.py", [*inversion(world, task, method, given.count, encoder), *given.words]):
            failed.append(f"{world} {task} {method}")
    table.write(given)
    if failed:
        sys.exit("failed: " + ", ".join(failed))


def start(program: str, words: list[str]) -> bool:
    """Run a program of the project; whether it ended well."""
    print(f"$ python {program} {' '.join(words)}", flush=True)
    paths = os.pathsep.join(filter(None, ["examples/celeba_vae", os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.run([sys.executable, program, *words], env=environment).returncode == 0


if __name__ == "__main__":
    main()
