"""What a GPU does in a step, by precision, batch and with its kernels recorded: GPU.md.

    python experiments/speed/gpu.py

StyleGAN2 of its published sizes with random weights, w_plus, Adam, pixel loss with or without a perceptual one. Beside
what was measured stands what the pretended device of the tests counts for such a step: kernels launched, waits of the
host and copies from it. Without a GPU the same table is made on the CPU, which ``--pixels 64`` keeps short.
"""

import argparse
import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from zstar.generators.base import AbstractGenerator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.inversion import clock
from zstar.losses.base import AbstractLoss
from zstar.losses.lpips import LPIPS
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.projectors.optimization import Optimization
from zstar.regularizers.noise_maps import NoiseMaps
from zstar.runs.folder import machine
from zstar.runs.precision import computing
from zstar.spaces.w_plus import WPlus
from zstar.stats.streams import seed_global

COLUMNS = (
    "pixels", "loss", "batch", "precision", "graph", "steps/s", "image-steps/s", "TFLOP/s", "of the matrix product's",
    "peak, GiB",
)  # fmt: skip
LOSSES = ("pixel", "perceptual")
STEPS = 4  # between two looks at the clock


def make_generator(pixels: int) -> StyleGAN2:
    """A StyleGAN2 as published, 30 million parameters at 1024 pixels."""
    seed_global("weights of a study of GPUs", 0)
    base = 32768 if pixels > 256 else 16384
    return StyleGAN2(pixels, 3, 512, 512, num_mapping_layers=8, channel_base=base, channel_max=512)


def make_losses(name: str) -> dict[str, AbstractLoss]:
    """Pixel loss, alone or with LPIPS's VGG-16 at 256 pixels."""
    perceptual = {"lpips_vgg": LPIPS("vgg", pnet_rand=True, size=256)} if name == "perceptual" else {}
    return {"pixel": Pixel(), **perceptual}


def make_problem(
    generator: AbstractGenerator, loss: str, batch: int, graph: bool, device: torch.device
) -> tuple[Problem, Objective]:
    """The equation of a step, and its targets."""
    losses = {name: one.to(device) for name, one in make_losses(loss).items()}
    space, free = WPlus(generator, 100), loss == "pixel, noise maps"
    regularizers = {"noise_maps": NoiseMaps(space)} if free else {}
    settings = {"noise": "optimize" if free else "const", "graph": graph}
    problem = Problem(space, losses, regularizers, Adam(0.05), **settings)
    side = generator.resolution
    images = torch.rand(batch, 3, side, side).to(device) * 2 - 1
    return problem, Objective(problem, Targets({"image": images}, [str(i) for i in range(batch)]))


def rate(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """How often a second ``work`` is done, once it is warm."""
    work()
    began, count = clock(device), 0
    while clock(device) - began < seconds:
        work()
        count += 1
    return count / (clock(device) - began)


def matrix_product(device: torch.device, precision: str, seconds: float) -> float:
    """FLOP a second of a square matrix product."""
    side = 4096 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device) for _ in range(2))
    if precision == "bf16":
        a, b = a.bfloat16(), b.bfloat16()
    return 2 * side**3 * rate(lambda: a @ b, device, seconds)


def count_flops(objective: Objective) -> int:
    """FLOP of an evaluation and its gradient: matrix products and convolutions."""
    v = objective.problem.start(objective.targets)
    latent = v["latent"].clone().requires_grad_()
    with FlopCounterMode(display=False) as counter:  # which refuses gradients that go straight to a leaf
        objective({**v, "latent": latent.clone()}).total.sum().backward()
    return counter.get_total_flops()


def predict(pixels: int, loss: str) -> str:
    """What the pretended device counts in a step."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    from fake_device import FakeDevice

    with FakeDevice() as device:
        generator, seen = make_generator(pixels).to(device.name), []
        problem, objective = make_problem(generator, loss, 1, False, torch.device(device.name))
        for steps in (1, 1, 2):
            with device.watching() as now:
                Optimization(problem, steps=steps)(objective)
            seen.append(now)
    launches, waits, copies = (
        getattr(seen[2], kind).total() - getattr(seen[1], kind).total() for kind in ("launches", "waits", "copies")
    )
    return f"| {pixels} | {loss} | {launches:,} | {waits} | {copies} |"


def lay_out(module: torch.nn.Module, layout: str) -> None:
    """Put the weights of convolutions into memory with the channels first or last; activations follow them."""
    last = layout == "channels_last"
    module.to(memory_format=torch.channels_last if last else torch.contiguous_format)


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ways = ("exact", "tf32", "bf16") if device.type == "cuda" else ("exact",)
    print("| pixels | loss | launches | waits | copies |\n|---|---|---|---|---|")
    for pixels, loss in itertools.product(given.pixels, (*LOSSES, "pixel, noise maps")):
        print(predict(pixels, loss), flush=True)
    print(f"\n{machine(device)}, torch {torch.__version__}\n")
    most = {}
    for way in ways:
        with computing(way):
            most[way] = matrix_product(device, way, given.seconds)
        print(f"* matrix product, {way}: {most[way] / 1e12:.2f} TFLOP/s")
    print(f"\n| {' | '.join(COLUMNS)} |\n|" + "---|" * len(COLUMNS))
    for pixels in given.pixels:
        generator = make_generator(pixels).to(device)
        for loss, batch, way, graph in itertools.product(
            LOSSES, given.batch, ways, (False, True)[: 2 if device.type == "cuda" else 1]
        ):
            line = measure(generator, loss, batch, way, graph, device, given.seconds, most[way])
            print(f"| {pixels} | {loss} | {batch} | {way} | {'yes' if graph else 'no'} | {line} |", flush=True)
    generator, batch = make_generator(given.pixels[0]).to(device), given.batch[len(given.batch) // 2]
    names = ("pixels", "layout", "precision", *COLUMNS[5:])
    print(f"\n| {' | '.join(names)} |\n|" + "---|" * len(names))
    for layout, way in itertools.product(("channels_last", "contiguous"), ways):
        lay_out(generator.synthesis, layout)
        line = measure(generator, "pixel", batch, way, False, device, given.seconds, most[way])
        print(f"| {given.pixels[0]} | {layout} | {way} | {line} |", flush=True)


def measure(
    generator: AbstractGenerator,
    loss: str,
    batch: int,
    way: str,
    graph: bool,
    device: torch.device,
    seconds: float,
    most: float,
) -> str:
    """The numbers of one line."""
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        with computing(way):
            problem, objective = make_problem(generator, loss, batch, graph, device)
            descent = Optimization(problem, steps=STEPS, keep_best=False)
            flop = count_flops(Objective(replace(problem, graph=False), objective.targets))
            found = rate(lambda: descent(objective), device, seconds) * (STEPS + 1 / 3)
    except ValueError as error:
        return f"{str(error).partition(':')[0]}: does not fit | – | – | – | –"
    peak = torch.cuda.max_memory_allocated() / 2**30 if cuda else float("nan")
    flops = found * flop
    return f"{found:.2f} | {found * batch:.1f} | {flops / 1e12:.2f} | {flops / most:.0%} | {peak:.1f}"


if __name__ == "__main__":
    main()
