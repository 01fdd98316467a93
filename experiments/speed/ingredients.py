"""What each ingredient does to the time of a step: a table of TIME_TO_QUALITY.md.

    OMP_NUM_THREADS=1 python experiments/speed/ingredients.py

Everything is run in turn, round by round, in this one process. The time of a step is that of a run of 2k steps less
that of one of k, so that what is done once per image is not in it; ratios are medians over rounds of the ratio within a
round. Times are seconds of the processor, which are those of the clock where nothing else runs.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from contestants import METHODS, Bench, Method
from projector_as_published import project
from torch import Tensor

from zstar.data.cottages import Cottages
from zstar.runs.folder import machine

Run = Callable[[int], object]


def seconds(run: Run, steps: int) -> float:
    """Seconds of one step of ``run``."""
    times = []
    for count in (steps, 2 * steps):
        began = time.process_time()
        run(count)
        times.append(time.process_time() - began)
    return (times[1] - times[0]) / steps


def contestants(images: Tensor) -> dict[str, tuple[Run, int]]:
    """Name → what is run, and for how many images at once: one, a quarter of them, all."""
    middle, most = max(1, len(images) // 4), len(images)
    fast, plain, forgetful = Bench(), Bench(plain=True), Bench(forgetful=True)
    found: dict[str, tuple[Run, int]] = {}

    def published(steps: int) -> None:
        project(plain.generator, plain.see, plain.distance, images[:1], lambda done, image: None, steps)

    def add(name: str, bench: Bench, batch: int, method: Method = METHODS["w"]) -> None:
        found[name] = (lambda steps: bench.solve(method, images[:batch], steps)), batch

    found["published loop, noise maps, NCHW, batch 1"] = published, 1
    add("zstar's loop, noise maps, NCHW, batch 1", plain, 1, METHODS["w_published"])
    add("without noise maps and exploration, NCHW, batch 1", plain, 1)
    add("channels last, batch 1", fast, 1)
    add(f"channels last, batch {middle}", fast, middle)
    add(f"channels last, batch {most}", fast, most)
    add(f"NCHW, batch {most}", plain, most)
    add(f"channels last, batch {most}, with noise maps and exploration", fast, most, METHODS["w_published"])
    add(f"channels last, batch {most}, target features at every step", forgetful, most)
    add(f"channels last, batch {most}, L-BFGS", fast, most, METHODS["w_lbfgs"])
    add(f"channels last, batch {most}, in w_plus", fast, most, METHODS["w_plus"])
    return found


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=32, help="the largest number of images at once")
    given = parser.parse_args()
    runs = contestants(Cottages(count=given.batch).read(range(given.batch)).images)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(given.rounds + 1):
        for name, (run, batch) in runs.items():
            took = seconds(run, max(2, 12 // batch)) / batch
            if turn:  # the first round warms up
                times[name].append(took)
    print(f"\n{machine(torch.device('cpu'))['cpu']}, {torch.get_num_threads()} thread(s), torch {torch.__version__}\n")
    print("| what is run | ms per image-step | of the published loop's |\n|---|---|---|")
    base = times[next(iter(times))]
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(values, base, strict=True))
        print(f"| {name} | {1e3 * statistics.median(values):.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
