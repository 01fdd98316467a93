"""Where the time of a projection step goes, and how much of the machine it uses: prints the table of README.md.

    python experiments/speed/measure.py

Every number comes from this one process, one thing after the other: the machine's own rates, then the steps of a
projection to w with one image at a time and with batches. Rates are medians over repetitions.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from zstar.data.cottages import Cottages
from zstar.generators.stylegan2 import StyleGAN2
from zstar.inversion import minimize
from zstar.losses.networks import AnnotatorFeatures
from zstar.losses.perceptual import Perceptual
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.spaces.w import W

COLUMNS = ("batch", "ms per image-step", "image-steps/s", "against batch 1", "G", "loss", "elsewhere")
COLUMNS += ("G's GFLOP/s", "of the convolution rate", "step's GFLOP/s", "of the matrix-product rate")
BATCHES = (1, 8, 32, 128)


def clock() -> float:
    """Seconds: of the processor where there is one thread, so that what else runs on the machine is not in them."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def median_seconds(work: Callable[[], object], repeats: int = 7) -> float:
    """Median seconds of ``work`` after two rounds of warm-up."""
    times = []
    for index in range(repeats + 2):
        began = clock()
        work()
        times.append(clock() - began)
        if index < 2:
            times.clear()
    return statistics.median(times)


def count_flops(work: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products and convolutions in ``work``, backward passes included."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def machine_rates() -> dict[str, float]:
    """GFLOP/s of a large matrix product and of the best of some 3×3 convolutions (forward and input gradient)."""
    a = torch.randn(2048, 2048)
    matmul = 2 * 2048**3 / median_seconds(lambda: a @ a)
    convolutions = []
    for channels, size in ((64, 32), (128, 16), (128, 32)):
        x = torch.randn(32, channels, size, size).to(memory_format=torch.channels_last).requires_grad_()
        kernel = torch.randn(channels, channels, 3, 3).to(memory_format=torch.channels_last)
        gradient = torch.randn(32, channels, size, size).to(memory_format=torch.channels_last)

        def both(x: torch.Tensor = x, kernel: torch.Tensor = kernel, gradient: torch.Tensor = gradient) -> None:
            torch.autograd.grad(F.conv2d(x, kernel, padding=1), x, gradient)

        convolutions.append(count_flops(both) / median_seconds(both))
    return {"matrix product": matmul / 1e9, "3×3 convolution": max(convolutions) / 1e9}


def measure(generator: StyleGAN2, losses: dict[str, torch.nn.Module], batch: int, steps: int) -> dict[str, float]:
    """Milliseconds per image and step at one batch size: all, G, losses; GFLOP/s of G and of all."""
    problem = Problem(W(generator, prior_samples=1000), losses, {}, Adam(lr=0.1))
    read = Cottages(count=batch).read(range(batch))
    objective = Objective(problem, Targets({"image": read.images}, read.ids))
    start = problem.space.start(batch)
    w = start.clone().requires_grad_()
    image = generator.synthesize(start, "w").detach().requires_grad_()
    ones = torch.ones_like(image)

    def only_g() -> None:
        moved = w.clone()  # the flop counter refuses gradients that go straight to a leaf
        torch.autograd.grad(generator.synthesize(moved, "w"), w, ones)

    def only_loss() -> None:
        seen = image.clone()
        total = sum(loss.compare(loss.features(seen), objective.features[n]).sum() for n, loss in losses.items())
        torch.autograd.grad(total, image)

    v = {"latent": start}
    minimize(objective, v, problem.groups(v), 3)
    began = clock()
    minimize(objective, v, problem.groups(v), steps)
    whole = (clock() - began) / steps / batch * 1e3
    g, loss = (median_seconds(work) / batch * 1e3 for work in (only_g, only_loss))
    work = count_flops(only_g) / batch
    step = (work + count_flops(only_loss) / batch) / (whole * 1e-3) / 1e9
    return {"all": whole, "G": g, "loss": loss, "rate": work / (g * 1e-3) / 1e9, "step rate": step}


def row(batch: int, m: dict[str, float], rates: dict[str, float], first: float) -> str:
    """A line of the table, with shares of the machine's rates beside it."""
    rest = m["all"] - m["G"] - m["loss"]
    shares = " | ".join(f"{100 * part / m['all']:.0f} %" for part in (m["G"], m["loss"], rest))
    of_convolution = 100 * m["rate"] / rates["3×3 convolution"]
    of_product = 100 * m["step rate"] / rates["matrix product"]
    return (
        f"| {batch} | {m['all']:.2f} | {1e3 / m['all']:.0f} | {first / m['all']:.2f} | {shares} | {m['rate']:.0f} | "
        f"{of_convolution:.0f} % | {m['step rate']:.0f} | {of_product:.0f} % |"
    )


def main() -> None:
    """Measure and print Markdown; the machine's rates are taken before and after each row, whatever else it does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    batches = parser.parse_args().batches
    generator = StyleGAN2(checkpoint="cottages64")
    perceptual = Perceptual(AnnotatorFeatures("annotator64"), weight=0.05)
    choices = {"pixel": {"pixel": Pixel()}, "pixel + perceptual": {"pixel": Pixel(), "perceptual": perceptual}}
    print(f"{platform.machine()}, {torch.get_num_threads()} thread(s), torch {torch.__version__}\n")
    seen = [machine_rates()]
    for name, losses in choices.items():
        print(f"\nLoss: {name}\n")
        print(f"| {' | '.join(COLUMNS)} |")
        print("|" + "---|" * len(COLUMNS))
        first = 0.0
        for batch in batches:
            m = measure(generator, losses, batch, steps=max(6, 60 // batch))
            seen.append(machine_rates())
            first = first or m["all"]
            rates = {key: (seen[-2][key] + seen[-1][key]) / 2 for key in seen[-1]}
            print(row(batch, m, rates, first), flush=True)
    print()
    for name in seen[0]:
        values = [rates[name] for rates in seen]
        print(f"* {name}: {statistics.median(values):.0f} GFLOP/s ({min(values):.0f} to {max(values):.0f} in this run)")


if __name__ == "__main__":
    main()
