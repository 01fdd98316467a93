"""How soon a region of a large picture is solved, beside the programs that people use: the table of POISSON.md.

    uv pip install fpie opencv-python-headless        # or pip; what is missing is left out, and that is said
    python experiments/speed/poisson.py

Each solves the same drawn picture of three channels in the same process and on one thread; seconds are those of the
processor, so that other programs on the machine do not count. The error is that inside of
the region against our solution in double precision, which the tests hold to direct solutions; OpenCV solves another
problem (it erodes the mask and changes pixels outside of it), so only its time is to be compared.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu
from torch import Tensor
from torch.nn import functional as F

from zstar.generators.pixels import Pixels
from zstar.losses.boundary import Boundary
from zstar.losses.gradient import Gradient
from zstar.losses.targets import Targets
from zstar.objective import Problem
from zstar.optimizers.conjugate_gradient import ConjugateGradient
from zstar.postprocess.gradients import clone
from zstar.projectors.base import project
from zstar.projectors.copy import Copy
from zstar.projectors.optimization import Optimization
from zstar.spaces.pixels import Pixels as PixelSpace
from zstar.stats.streams import stream

Solver = Callable[[], Tensor]  # → the picture [1, 3, h, w] in [0, 255]


def draw(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Background, source and mask: smooth noise of two kinds in whole levels from 0 to 255, and a disc with a notch."""
    rng = stream("pictures of a study of Poisson's equation", 0)
    pictures = []
    for cells in (8, 40):
        coarse = torch.randn(1, 3, cells, cells, generator=rng)
        smooth = F.interpolate(coarse, size=(size, size), mode="bicubic")
        pictures.append((127.5 + 50 * smooth).clamp(0, 255).round())
    line = torch.linspace(-1, 1, size)
    disc = line[:, None].square() + line.square() < 0.93
    notch = (line[:, None] > 0.2) & (line.abs() < 0.15)
    return pictures[0], pictures[1], (disc & ~notch)[None, None].float()


def solvers(
    background: Tensor, source: Tensor, mask: Tensor, backends: list[str], rounds: list[int]
) -> Iterator[tuple[str, Solver]]:
    """What is compared, with its name; a sentence for what is not installed."""
    yield "zstar, multigrid", lambda: clone(background, source, mask)
    yield "zstar, conjugate_gradient in the loop", lambda: equation(background, source, mask)
    arrays = [one[0].permute(1, 2, 0).numpy() for one in (background, source)]
    yield "SciPy, sparse LU", lambda: direct(*arrays, mask[0, 0].numpy() > 0)
    holes = (mask[0, 0].numpy() * 255).astype(np.uint8)
    try:
        import fpie.process
    except ImportError:
        print("fpie is not installed and left out; pip install fpie")
    else:
        for backend, count in product(backends, rounds):
            name = f"fpie, {backend}, {count} iterations"
            yield name, lambda backend=backend, count=count: jacobi(fpie.process, backend, arrays, holes, count)
    try:
        import cv2
    except ImportError:
        print("OpenCV is not installed and left out; pip install opencv-python-headless")
    else:
        cv2.setNumThreads(1)
        yield "OpenCV, seamlessClone", lambda: seamless(cv2, arrays, holes)


def equation(background: Tensor, source: Tensor, mask: Tensor, steps: int = 100) -> Tensor:
    """The losses ``boundary`` and ``gradient`` by conjugate gradients, as ``experiment=gradient_domain`` has them."""
    losses = {"boundary": Boundary(weight=1e4), "gradient": Gradient()}
    problem = Problem(PixelSpace(Pixels(background.shape[-1])), losses, {}, ConjugateGradient())
    named = {"image": background / 127.5 - 1, "source": source / 127.5 - 1, "mask": mask}
    chain = [Copy(problem, inside="source"), Optimization(problem, steps, keep_best=False)]
    return (project(problem, chain, Targets(named, ["one"])).image + 1) * 127.5


def direct(background: np.ndarray, source: np.ndarray, inside: np.ndarray) -> Tensor:
    """The system as a sparse matrix, factored once for the three channels; the region touches no border."""
    number = np.full(inside.shape, -1)
    number[inside] = np.arange(inside.sum())
    rows, columns = np.nonzero(inside)
    right, entries = np.zeros((len(rows), 3)), [(number[inside], number[inside], np.full(len(rows), 4.0))]
    for down, across in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        beside = (rows + down, columns + across)
        right += source[inside].astype(np.float64) - source[beside]
        known = ~inside[beside]
        right[known] += background[beside][known]
        entries.append((number[inside][~known], number[beside][~known], np.full((~known).sum(), -1.0)))
    row, column, value = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    made = background.astype(np.float64)
    made[inside] = splu(coo_matrix((value, (row, column))).tocsc(), permc_spec="MMD_AT_PLUS_A").solve(right)
    return torch.from_numpy(made).permute(2, 0, 1)[None]


def jacobi(process: Any, backend: str, arrays: list[np.ndarray], holes: np.ndarray, count: int) -> Tensor:
    """fpie's iterations, on a target in floating point."""
    work = process.EquProcessor("src", backend, n_cpu=1)
    background, source = arrays
    work.reset(source, holes, background.astype(np.float32), (0, 0), (0, 0))
    work.sync()
    found, _ = work.step(count)
    return torch.from_numpy(np.array(found, dtype=np.float32)).permute(2, 0, 1)[None]


def seamless(cv2: Any, arrays: list[np.ndarray], holes: np.ndarray) -> Tensor:
    """OpenCV's, with the source kept in its place."""
    background, source = (array.astype(np.uint8) for array in arrays)
    rows, columns = np.nonzero(holes)
    centre = (int(columns.min() + columns.max() + 1) // 2, int(rows.min() + rows.max() + 1) // 2)
    made = cv2.seamlessClone(source, background, holes, centre, cv2.NORMAL_CLONE)
    return torch.from_numpy(made).permute(2, 0, 1)[None].float()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="pixels of a side")
    parser.add_argument("--repeats", type=int, default=3, help="of which the median is printed")
    parser.add_argument("--iterations", type=int, nargs="*", default=[500, 5000], help="of fpie")
    parser.add_argument("--backends", nargs="*", default=["numpy"], help="of fpie: numpy, numba, taichi-cpu, gcc")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    background, source, mask = draw(asked.size)
    double = clone(background.double(), source.double(), mask.double(), tolerance=1e-10, most=500)
    inside, ours = mask.expand_as(background) > 0, None
    print(f"{asked.size} × {asked.size}, {int(mask.sum())} unknown pixels of 3 channels")
    print("| solver | seconds | times ours | largest error, levels of 255 | mean error |")
    print("|---|---|---|---|---|")
    for name, solve in solvers(background, source, mask, asked.backends, asked.iterations):
        seconds = []
        for _ in range(1 if "fpie" in name else asked.repeats):
            began = time.process_time()
            found = solve()
            seconds.append(time.process_time() - began)
        middle = sorted(seconds)[len(seconds) // 2]
        ours = middle if ours is None else ours
        wanted = double.clamp(0, 255) if "fpie" in name or "OpenCV" in name else double
        errors = (found.double() - wanted)[inside].abs()
        print(f"| {name} | {middle:.2f} | {middle / ours:.1f} | {errors.max():.2g} | {errors.mean():.2g} |", flush=True)


if __name__ == "__main__":
    main()
