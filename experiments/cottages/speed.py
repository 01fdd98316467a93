"""Measure how many cottages are drawn per second, factors and masks included."""

import argparse
import statistics
import time

import torch

from zstar.data.cottages import Cottages


def rate(batch: int, resolution: int, seconds: float) -> float:
    """Median images per second over repeated reads of one batch."""
    data = Cottages(count=batch * 10_000, split="train", resolution=resolution)
    data.read(range(batch))
    rates, first, end = [], 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        data.read(range(first, first + batch))
        rates.append(batch / (time.perf_counter() - start))
        first += batch
    return statistics.median(rates)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"| resolution | batch | images per second, {arguments.threads} threads |\n|---|---|---|")
    for resolution, batch in ((32, 64), (64, 1), (64, 16), (64, 64), (128, 64)):
        print(f"| {resolution} | {batch} | {rate(batch, resolution, arguments.seconds):.0f} |")
