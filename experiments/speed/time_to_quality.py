"""How long until pictures are as good as those of the published StyleGAN2 projector: tables of TIME_TO_QUALITY.md.

    OMP_NUM_THREADS=1 python experiments/speed/time_to_quality.py

Quality comes first: the published projector and each method, on the same images, with the same generator and losses,
judged by measures that none of them minimises. It does not depend on the machine and is kept in ``--folder``. Times
come second: everything that is compared is run in turn, round by round, in this one process, and medians are printed.
They are seconds of the processor, which are those of the clock where nothing else runs.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from contestants import METHODS, Bench, Judges, reached
from curves import draw
from projector_as_published import STEPS, project
from torch import Tensor

from zstar.data.cottages import Cottages
from zstar.runs.folder import machine, write_json

LONG = 4  # steps of a run above which its time is computed from shorter ones
COLUMNS = ("method", "steps", "PSNR, dB", "perceptual", "CPU s per image", "of the baseline's", "times faster")


def baseline(bench: Bench, judges: Judges, image: Tensor, steps: int) -> dict[str, Any]:
    """One image by the published projector: quality and seconds, without those of the judging, after so many steps."""
    points: list[dict[str, float]] = []
    began, judging = time.process_time(), 0.0

    def seen(done: int, picture: Tensor) -> None:
        nonlocal judging
        entered = time.process_time()
        points.append({"steps": done, "seconds": entered - began - judging, **judges(picture, image)})
        judging += time.process_time() - entered

    project(bench.generator, bench.see, bench.distance, image, seen, steps)
    return {"points": points, "seconds": time.process_time() - began - judging}


def mean(runs: list[dict[str, Any]], place: int) -> dict[str, float]:
    """Mean over the images of what the baseline had reached."""
    return {key: statistics.fmean(run["points"][place][key] for run in runs) for key in runs[0]["points"][place]}


def find_quality(folder: Path, count: int, steps: int, only: list[str]) -> dict[str, Any]:
    """What the baseline ends with, and how many steps each method takes to get there; read if it is known."""
    path = folder / f"quality_{count}_{steps}.json"
    found: dict[str, Any] = (
        json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"baseline": [], "methods": {}}
    )
    judges, images = Judges(), Cottages(count=count).read(range(count)).images
    plain = Bench(plain=True)
    for i in range(len(found["baseline"]), count):
        found["baseline"].append(baseline(plain, judges, images[i : i + 1], steps))
        write_json(path, found)
        print(f"image {i}: {found['baseline'][-1]['points'][-1]}", flush=True)
    wanted, bench = mean(found["baseline"], -1), Bench()
    for key in [key for key in only if key not in found["methods"]]:
        method = METHODS[key]
        points: list[dict[str, float]] = []
        for place, steps_here in enumerate(method.grid):
            result = bench.solve(method, images, steps_here)
            points.append({"steps": steps_here, "evaluations": result.evaluations.double().mean().item()})
            points[-1] |= judges(result.image, images)
            behind = place - method.beyond
            if behind >= 0 and any(reached(point, wanted) for point in points[: behind + 1]):
                break
        found["methods"][key] = points
        write_json(path, found)
        print(f"{key}: {points[-1]}", flush=True)
    found["timed"] = {key: first(points, wanted) or points[-1] for key, points in found["methods"].items()}
    return found


def first(points: list[dict[str, float]], wanted: dict[str, float]) -> dict[str, float] | None:
    """The shortest run that was good enough, if one was."""
    return next((point for point in points if reached(point, wanted)), None)


def whole_run(run: Callable[[int], object], steps: int) -> float:
    """Seconds of a run of so many steps; of a long one from two short ones, as every step costs the same."""
    times = []
    for count in (steps,) if steps <= LONG else (LONG // 2, LONG):
        began = time.process_time()
        run(count)
        times.append(time.process_time() - began)
    return times[-1] + (times[-1] - times[0]) / (LONG / 2) * (steps - LONG if steps > LONG else 0)


def take_times(found: dict[str, Any], batch: int, rounds: int, steps: int, only: list[str]) -> dict[str, list[float]]:
    """Seconds per image of the baseline, and of each method with its number of steps, in turn."""
    plain, bench = Bench(plain=True), Bench()
    images = Cottages(count=batch).read(range(batch)).images
    times: dict[str, list[float]] = {key: [] for key in ("baseline", *only)}
    for turn in range(rounds + 1):
        image = images[turn % batch][None]

        def published(count: int, image: Tensor = image) -> None:
            project(plain.generator, plain.see, plain.distance, image, lambda done, picture: None, count)

        took = {"baseline": whole_run(published, steps)}
        for key in only:
            run = partial(bench.solve, METHODS[key], images)
            took[key] = whole_run(run, int(found["timed"][key]["steps"])) / batch
        if turn:  # the first round warms up
            for key, value in took.items():
                times[key].append(value)
            print({key: round(value, 4) for key, value in took.items()}, flush=True)
    return times


def table(found: dict[str, Any], times: dict[str, list[float]], steps: int) -> str:
    """Markdown: steps to the baseline's quality, and what they take."""
    wanted, whole = mean(found["baseline"], -1), statistics.median(times["baseline"])
    rows = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    rows += [
        f"| published projector | {steps} | {wanted['psnr']:.2f} | {wanted['perceptual']:.4f} | {whole:.2f} | 1 | 1 |"
    ]
    for key, values in times.items():
        if key == "baseline":
            continue
        point = first(found["methods"][key], wanted)
        last = point or found["methods"][key][-1]
        own = statistics.median(values)
        ratio = statistics.median(a / b for a, b in zip(values, times["baseline"], strict=True))
        count = f"{last['steps']:.0f}" if point else f"{last['steps']:.0f}, not reached"
        rows.append(
            f"| {METHODS[key].name} | {count} | {last['psnr']:.2f} | {last['perceptual']:.4f} | {own:.3g} | "
            f"{ratio:.2g} | {1 / ratio:.3g} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Measure and print Markdown; draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS, help="of the published projector")
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--folder", type=Path, default=Path("outputs/speed"))
    parser.add_argument("--figure", type=Path, default=Path("outputs/figures/time_to_quality.png"))
    given = parser.parse_args()
    if given.steps < 1 or given.steps % 50:
        parser.error(f"--steps: {given.steps} is no multiple of 50, and the projector shows itself after each 50")
    found = find_quality(given.folder, given.images, given.steps, given.methods)
    times = take_times(found, given.batch, given.rounds, given.steps, given.methods)
    write_json(given.folder / f"times_{given.images}_{given.steps}.json", times)
    print(f"\n{machine(torch.device('cpu'))['cpu']}, {torch.get_num_threads()} thread(s), torch {torch.__version__}\n")
    print(table(found, times, given.steps))
    given.figure.parent.mkdir(parents=True, exist_ok=True)
    draw(found, times, METHODS, given.figure)


if __name__ == "__main__":
    main()
