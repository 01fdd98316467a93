"""Measure how many cottages are drawn per second, factors and masks included; print a table."""

import argparse
import os
import statistics
import time

import torch

from zstar.data.cottages import Cottages


def rates(batch: int, resolution: int, seconds: float) -> tuple[float, float, float]:
    """Images per second over repeated reads: median and fastest by the clock, and mean per second of processor time."""
    data = Cottages(count=batch * 10_000, split="train", resolution=resolution)
    data.read(range(batch))
    walls, first, end, busy = [], 0, time.perf_counter() + seconds, time.process_time()
    while time.perf_counter() < end or len(walls) < 3:
        start = time.perf_counter()
        data.read(range(first, first + batch))
        walls.append(time.perf_counter() - start)
        first += batch
    busy = time.process_time() - busy
    return batch / statistics.median(walls), batch / min(walls), first / busy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{arguments.threads} threads on {os.cpu_count()} processors, load before {os.getloadavg()[0]:.1f}\n")
    print("| resolution | batch | images/s, median | fastest | per second of processor time |\n|---|---|---|---|---|")
    for resolution, batch in ((64, 64), (64, 16), (64, 1), (32, 64), (128, 64)):
        median, fastest, busy = rates(batch, resolution, arguments.seconds)
        print(f"| {resolution} | {batch} | {median:.0f} | {fastest:.0f} | {busy:.0f} |")
