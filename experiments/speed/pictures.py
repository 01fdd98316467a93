"""What the time of a projection of many large pictures goes to, where the networks are quick: the table of PICTURES.md.

    python experiments/speed/pictures.py --roots ../zstar-before . --count 200

Each of ``--roots`` is a checkout with an environment of its own, made by ``make``; they do the same run of
``invert.py``, one after the other: ``projector=[encoder]`` on drawn pictures, half of them PNG and half JPEG, with a
StyleGAN2 and an encoder of random weights. The seconds are those that the run itself had to wait: what threads do
meanwhile is not in them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from zstar.checkpoints.io import save_weights
from zstar.cli import invert
from zstar.encoders.base import EncoderSpec
from zstar.encoders.resnet import ResNet
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import to_pil
from zstar.spaces.w import W
from zstar.stats.streams import seed_global, stream

PARTS = ("networks", "reading", "measuring", "writing", "rest")
ENCODER = {"width": 16, "width_max": 128, "blocks": 1, "input_size": 128}
SCALES = ((64, 0.4), (16, 0.2), (4, 0.08), (1, 0.02))  # pixels of the coarse noise, and its deviation


def draw(folder: Path, count: int, size: int) -> None:
    """Pictures of smooth noise at several scales, with edges, about as large on the disk as photos."""
    folder.mkdir(parents=True)
    for index in range(count):
        rng = stream("drawn photos", 0, index=index)
        noise = (torch.randn(1, 3, max(1, size // scale), max(1, size // scale), generator=rng) for scale, _ in SCALES)
        layers = [
            amount * F.interpolate(coarse, size=(size, size), mode="bicubic")
            for coarse, (_, amount) in zip(noise, SCALES, strict=True)
        ]
        picture = sum(layers) + 0.3 * layers[0].sign()
        suffix, options = ((".jpg", {"quality": 92}), (".png", {}))[index % 2]
        to_pil(picture[0]).save(folder / f"{index:06d}{suffix}", **options)


def make_networks(folder: Path, size: int) -> None:
    """A generator and an encoder for w, as they are exported, with random weights."""
    seed_global("weights of a study of pictures", 0)
    generator = StyleGAN2(size, z_dim=128, w_dim=128, num_mapping_layers=2, channel_base=16 * size, channel_max=128)
    save_weights(
        folder / "generator.safetensors", generator.state_dict(), {"kind": "generator", "settings": generator.settings}
    )
    network = ResNet(EncoderSpec.of(W(generator, prior_samples=100)), **ENCODER)
    torch.nn.init.normal_(network.read[-1].weight, std=0.1)
    node = {"_target_": "zstar.encoders.resnet.ResNet", "_partial_": True, **ENCODER}
    card = {"kind": "encoder", "network": node, "resolution": size, "channels": 3, "space": "w"}
    card["generator"] = generator.fingerprint()
    save_weights(folder / "encoder.safetensors", network.state_dict(), card)


def timed(seconds: dict[str, float], part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose seconds count as those of a part."""

    def call(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            seconds[part] += time.perf_counter() - began

    return call


def run(words: list[str], output: Path) -> None:
    """The run of a checkout, in this process; prints the seconds of its parts."""
    from zstar.data.folder import Folder
    from zstar.projection import batch_store, batches, work

    seconds = dict.fromkeys(PARTS, 0.0)
    if hasattr(batches, "write_png"):  # a checkout that does one thing after the other, and keeps no account of it
        for place, name, part in (
            (batches, "project_with_start", "networks"), (Folder, "read", "reading"), (batches, "measure", "measuring"),
            (work, "write_features", "measuring"), (batches, "write_png", "writing"),
            (batch_store.Parts, "write", "writing"),
        ):  # fmt: skip
            setattr(place, name, timed(seconds, part, getattr(place, name)))
    sys.argv = ["invert.py", *words, f"output={output}"]
    began = time.perf_counter()
    invert()
    clock = time.perf_counter() - began
    (result,) = output.glob("*/result.json")
    seconds |= json.loads(result.read_text(encoding="utf-8")).get("time", {})
    rest = clock - sum(seconds[part] for part in PARTS[:-1])
    print(json.dumps({**seconds, "rest": rest, "clock": clock, "processor": time.process_time()}))


def main() -> None:
    """Make what is needed, let each checkout do it, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roots", type=Path, nargs="+", default=[Path()])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--metrics", default="[mse,psnr,ssim]")
    parser.add_argument("--folder", type=Path, default=Path("outputs/speed/pictures"))
    parser.add_argument("--inside", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    if arguments.inside:
        run(arguments.inside, folder)
        return
    shutil.rmtree(folder, ignore_errors=True)
    draw(folder / "photos", arguments.count, arguments.size)
    make_networks(folder, arguments.size)
    words = ["generator=stylegan2", f"generator.checkpoint={folder}/generator.safetensors", "space=w"]
    words += ["encoder=trained", f"encoder.checkpoint={folder}/encoder.safetensors", "projector=[encoder]"]
    words += ["loss=[pixel]", f"metric={arguments.metrics}", "logger=none", "data=folder", f"data.path={folder}/photos"]
    print(f"| checkout | images/s | clock, s | processor, s | {' | '.join(PARTS)} |\n|{'---|' * (4 + len(PARTS))}")
    for number, root in enumerate(path.resolve() for path in arguments.roots):
        inner = [__file__, "--folder", folder / f"run{number}", "--inside", *words]
        local = root / ".venv/bin/python"
        done = subprocess.run(
            [local if local.exists() else sys.executable, *inner],
            cwd=root, env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}, check=True,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        found = json.loads(done.stdout.splitlines()[-1])
        shares = " | ".join(f"{found[part] / found['clock']:.0%}" for part in PARTS)
        rate = arguments.count / found["clock"]
        print(f"| {root.name} | {rate:.2f} | {found['clock']:.0f} | {found['processor']:.0f} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
