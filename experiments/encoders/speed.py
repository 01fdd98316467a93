"""How fast encoders are trained and used, and where the time of a training step goes: prints the table of SPEED.md.

    python experiments/encoders/speed.py --batch 16 --steps 20

Training is what ``train.py task=encoder`` does with its defaults, from reading the images to the mean of the weights,
against the shipped generator at 64×64; the time of a step is the median over the steps after the first three. E, G and
the losses are then timed by themselves, forward and backward, and the rest of a step is Adam, the mean and Lightning.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch.utils.data import DataLoader

from zstar.config.build import build
from zstar.data.stream import Stream
from zstar.encoders.trained import TrainedEncoder
from zstar.projection.device import pick_device
from zstar.runs.folder import machine
from zstar.stats.streams import seed_global
from zstar.tasks.callbacks import WaitingTime
from zstar.tasks.encoder import EncoderTask
from zstar.tasks.quiet import quiet

SPACES = {"igan": "w", "resnet": "w", "psp": "w_plus", "restyle": "w_plus"}
CONF = str(Path(__file__).parents[2] / "conf")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
COLUMNS = ("encoder", "space", "parameters", "precision", "training, images/s", "E", "G", "losses", "rest", "waiting")
COLUMNS += ("inference, images/s",)


class Clock(pl.Callback):
    """When each step has ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: object) -> None:
        self.ends.append(now())


def now() -> float:
    """Seconds, once all that was asked for is computed."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median seconds of ``work`` after two rounds of warm-up."""
    times = []
    for _ in range(repeats + 2):
        began = now()
        work()
        times.append(now() - began)
    return statistics.median(times[2:])


def train(task: EncoderTask, trainer: object, data: object, steps: int) -> tuple[float, float]:
    """Seconds of a step, and the share of them that is spent on waiting for images."""
    clock, waiting = Clock(), WaitingTime()
    with quiet():
        trainer = build(trainer, callbacks=[clock, waiting])
        trainer.fit(task, DataLoader(Stream(data, task.batch, 0, steps), batch_size=None))
    return statistics.median(b - a for a, b in zip(clock.ends[2:-1], clock.ends[3:], strict=True)), waiting.share()


def parts(task: EncoderTask, images: torch.Tensor, cast: Callable[[], AbstractContextManager], repeats: int) -> dict:
    """Seconds of E, of G and of the losses in one step, forward and backward, with all passes."""
    space, passes = task.space, task.encoder.passes
    task.encoder.to(DEVICE).train()
    start = space.start(len(images)).to(DEVICE)
    with torch.no_grad(), cast():
        made = space.decode(start)
        features = {name: loss.features(images) for name, loss in task.losses.items()}
        shape = task.encoder(images, start, made)
    latent, image = start.clone().requires_grad_(), made.float().clone().requires_grad_()

    def encoder() -> None:
        with cast():
            out = task.encoder(images, start, made)
        out.backward(torch.ones_like(shape))

    def generator() -> None:
        with cast():
            out = space.decode(latent)
        out.backward(torch.ones_like(out))

    def losses() -> None:
        with cast():
            total = [loss.compare(loss.features(image), features[n]).mean() for n, loss in task.losses.items()]
        sum(total).backward()

    def targets() -> None:
        with torch.no_grad(), cast():
            [loss.features(images) for loss in task.losses.values()]

    times = {"E": seconds(encoder, repeats) * passes, "G": seconds(generator, repeats) * passes}
    return times | {"losses": seconds(losses, repeats) * passes + seconds(targets, repeats)}


def infer(task: EncoderTask, images: torch.Tensor, cast: Callable[[], AbstractContextManager], repeats: int) -> float:
    """Seconds of finding the latents of a batch, with all passes."""
    encoder = TrainedEncoder(task.encoder.to(DEVICE).eval(), task.space.name)
    with torch.no_grad(), cast():
        return seconds(lambda: encoder(task.space, images), repeats)


def measure(name: str, precision: str, batch: int, steps: int, repeats: int) -> str:
    """One row of the table."""
    words = ["task=encoder", f"encoder={name}", f"space={SPACES[name]}", "metric=[]", f"task.batch={batch}"]
    words += ["trainer=bf16"] if precision == "bf16" else []
    with initialize_config_dir(version_base="1.3", config_dir=CONF):
        cfg = compose("train", [*words, f"task.steps={steps}", f"trainer.accelerator={DEVICE.type}"])
    seed_global("initial weights", 0)
    task, data = EncoderTask.compose(cfg), build(cfg.data)
    size = sum(weight.numel() for weight in task.encoder.parameters())
    step, waiting = train(task, cfg.trainer, data, steps)
    images = data.read(range(batch)).images.to(DEVICE)

    def cast() -> AbstractContextManager:
        return torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bf16")

    times = parts(task, images, cast, repeats)
    shares = [f"{100 * part / step:.0f} %" for part in (*times.values(), step - sum(times.values()))]
    found = infer(task, images, cast, repeats)
    cells = [name, SPACES[name], f"{size / 1e6:.2f} M", precision, f"{batch / step:.3g}", *shares]
    return " | ".join([*cells, f"{100 * waiting:.1f} %", f"{batch / found:.3g}"])


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20, help="of each training, at least 5")
    parser.add_argument("--repeats", type=int, default=10, help="of each part")
    parser.add_argument("--encoders", nargs="*", default=list(SPACES))
    arguments = parser.parse_args()
    here = machine(pick_device("auto"))
    print(f"{here['gpu'] or here['cpu']} ({platform.machine()}), {here['threads']} threads, torch {torch.__version__},")
    print(f"batches of {arguments.batch}\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for name in arguments.encoders:
        for precision in ("fp32", "bf16"):
            row = measure(name, precision, arguments.batch, max(5, arguments.steps), arguments.repeats)
            print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
