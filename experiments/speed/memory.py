"""Seconds and memory of a step at 256 and 1024 pixels, by batch, micro-batch and what is compared: MEMORY.md.

    OMP_NUM_THREADS=2 python experiments/speed/memory.py

StyleGAN2 of its published sizes with random weights, w_plus, pixel loss and LPIPS's VGG-16 (random weights too: neither
time nor memory depends on them). Each row is a process of its own: one step to begin with, then one that is timed.
Memory is the most that the process held beside what it held when all was built.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

SIZES = {256: 16384, 1024: 32768}  # pixels → channel_base, as published: 25 and 30 million parameters
COLUMNS = (
    "pixels",
    "work",
    "compared at",
    "batch",
    "micro_batch",
    "checkpointing",
    "s per image and step",
    "peak, GiB",
)


@dataclass
class Row:
    """What one process measures."""

    pixels: int
    batch: int
    micro: int | None = None
    size: int | None = 256
    checkpointing: bool = False
    work: str = "optimization"


ROWS = [
    *(Row(256, batch) for batch in (1, 4, 16)), Row(256, 16, 4), Row(256, 16, 1), Row(256, 4, None, 256, True),
    Row(256, 4, None, 256, False, "best_of"), Row(256, 4, None, 256, False, "cma"),
    Row(1024, 1, None, None), Row(1024, 1), Row(1024, 1, None, 256, True), Row(1024, 4, 1), Row(1024, 16, 1),
    Row(1024, 4, 1, None, True),
]  # fmt: skip


def held() -> float:
    """GiB that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 2**30


def measure(row: Row) -> dict[str, float]:
    """Seconds of an image and step, and GiB at the peak; in a process that does nothing else."""
    import torch

    from zstar.generators.checkpointing import checkpoint_blocks
    from zstar.generators.stylegan2 import StyleGAN2
    from zstar.losses.lpips import LPIPS
    from zstar.losses.pixel import Pixel
    from zstar.losses.targets import Targets
    from zstar.objective import Objective, Problem
    from zstar.optimizers.adam import Adam
    from zstar.optimizers.slices import Slices
    from zstar.projectors.best_of import BestOf
    from zstar.projectors.cma import CMA
    from zstar.projectors.optimization import Optimization
    from zstar.spaces.w_plus import WPlus
    from zstar.stats.streams import seed_global

    seed_global("weights of a study of memory", 0)
    base = SIZES[row.pixels]
    generator = StyleGAN2(row.pixels, 3, 512, 512, num_mapping_layers=8, channel_base=base, channel_max=512)
    if row.checkpointing:
        checkpoint_blocks(generator)
    losses = {"pixel": Pixel(), "lpips_vgg": LPIPS("vgg", pnet_rand=True, size=row.size)}
    problem = Problem(WPlus(generator, 100), losses, {}, Adam(0.05), slices=Slices(row.micro))
    images = torch.rand(row.batch, 3, row.pixels, row.pixels) * 2 - 1
    started = held()
    objective = Objective(problem, Targets({"image": images}, [str(i) for i in range(row.batch)]))
    if row.work == "optimization":
        projector, steps = Optimization(problem, steps=1, keep_best=False), 1
        projector(objective)
    else:
        steps = 16
        projector = (
            BestOf(problem, candidates=steps)
            if row.work == "best_of"
            else CMA(problem, generations=1, population=steps)
        )
    began = time.perf_counter()
    projector(objective)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": seconds / row.batch / steps, "peak": peak - started}


def main() -> None:
    """Print Markdown, a line for each process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--pixels", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--rows", type=int, default=len(ROWS), help="the first so many of them")
    given = parser.parse_args()
    if given.row is not None:
        print(json.dumps(measure(Row(**given.row))))
        return
    print(f"| {' | '.join(COLUMNS)} |\n|" + "---|" * len(COLUMNS))
    for row in ROWS[: given.rows]:
        if row.pixels in given.pixels:
            words = [sys.executable, __file__, "--row", json.dumps(asdict(row))]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
            numbers = f"{found['seconds']:.2f} | {found['peak']:.2f}" if found else f"ended with {done.returncode} | –"
            cells = (row.pixels, row.work, row.size or row.pixels, row.batch, row.micro or "all", row.checkpointing)
            print(f"| {' | '.join(map(str, cells))} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
