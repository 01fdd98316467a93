"""StyleGAN2's FIR filter behind each up-sampling: 4×4 taps at once, or 4 and then 4.

OMP_NUM_THREADS=2 python experiments/speed/fir.py
"""

import argparse
import time

import torch
from torch import Tensor
from torch.nn import functional as F

from zstar.generators.stylegan2_functions import Smooth
from zstar.stats.streams import stream

SIZES = ((16, 128, 33), (8, 256, 129), (4, 128, 257), (1, 32, 1025))  # batch, channels, side
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4  # with the gain that zeros between the pixels ask for


def at_once(x: Tensor) -> Tensor:
    """As the generator has it."""
    return Smooth.apply(x, torch.outer(TAPS, TAPS), 1)


def in_two(x: Tensor) -> Tensor:
    """Down the columns, then along the rows."""
    channels = x.shape[1]
    down = TAPS.view(1, 1, 4, 1).expand(channels, 1, 4, 1)
    y = F.conv2d(x, down, padding=(1, 0), groups=channels)
    return F.conv2d(y, down.transpose(2, 3), padding=(0, 1), groups=channels)


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print("| batch × channels × side | at once, ms | in two, ms | two / one |\n|---|---|---|---|")
    for batch, channels, side in SIZES:
        x = torch.randn(batch, channels, side, side, generator=stream("maps to filter", 0)).to(device)
        x, spent = x.contiguous(memory_format=torch.channels_last), []
        torch.testing.assert_close(in_two(x), at_once(x), atol=1e-5, rtol=1e-4)
        for way in (at_once, in_two):
            began, count = time.perf_counter(), 0
            while time.perf_counter() - began < given.seconds:
                way(x)[0, 0, 0, 0].item()  # waits for a GPU
                count += 1
            spent.append(1e3 * (time.perf_counter() - began) / count)
        print(f"| {batch} × {channels} × {side} | {spent[0]:.1f} | {spent[1]:.1f} | {spent[1] / spent[0]:.2f} |")


if __name__ == "__main__":
    main()
