"""Trained networks → the table of README.md, and 64 samples of each.

    python experiments/families/networks.py outputs/train dcgan64 vae64 glow32 --figures experiments/families

Scores are those of the cards: ``python -m zstar.tasks.score`` has written KID, and the training has the reconstruction
of an autoencoder and the bits per dimension of a flow. The StyleGAN2 that ships is the first row; of the others, a
network that ships stands in for one that has not been trained.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zstar.checkpoints.io import all_shipped, read_card
from zstar.generators.base import AbstractGenerator
from zstar.images import grid, write_png
from zstar.reports.numbers import duration, show, with_interval
from zstar.stats.streams import stream
from zstar.tasks.score import load_generator

SHIPPED = "cottages64"
FAMILIES = (SHIPPED, "dcgan64", "pggan64", "stylegan64", "biggan64", "vae64", "vqvae64", "glow32", "realnvp32")
COLUMNS = ("network", "parameters", "file, MB", "KID of samples [95 %]", "of real ones", "reconstruction, dB",
           "bits per dimension", "steps", "time")  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A generator with what its card says of it."""

    name: str
    path: Path
    generator: AbstractGenerator
    card: dict[str, Any]

    @property
    def parameters(self) -> int:
        """Numbers that were learned, those of an encoder that is part of it included."""
        return sum(value.numel() for value in self.generator.parameters())

    @property
    def kid(self) -> tuple[float, float, float] | None:
        """KID of samples beside held-out images with its interval, if it has been scored."""
        found = self.card.get("scores", {}).get("kid")
        return (found["value"], found["low"], found["high"]) if isinstance(found, dict) else None


def find(folder: Path, name: str) -> Network | None:
    """The network of a family, the one that was trained or else the one that ships, if there is any."""
    trained, ships = folder / name / "weights.safetensors", {path.stem: path for path in all_shipped()}
    path = trained if trained.is_file() and name != SHIPPED else ships.get(name)
    return None if path is None else Network(name, path, load_generator(path), read_card(path))


def line(network: Network) -> str:
    """One row of the table."""
    card, scores = network.card, network.card.get("scores", {})
    floor = scores.get("kid_floor")
    cells = [
        network.name, f"{network.parameters:,}", f"{network.path.stat().st_size / 1e6:.2f}",
        with_interval(*network.kid) if network.kid else "–",
        show(floor["value"], 4) if floor else "–",
        show(scores.get("psnr"), 2), show(scores.get("bits_per_dimension"), 3),
        f"{card.get('steps', 0):,}", duration(card.get("seconds")),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def samples(generator: AbstractGenerator) -> torch.Tensor:
    """Eight rows of eight, always of the same latents."""
    latents = generator.sample(64, stream("samples of a family", 0))
    images = generator.synthesize(latents, generator.drawn)
    return grid(images.nan_to_num().clamp(-1, 1), 8)


def main() -> None:
    """Print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("families", nargs="*", default=FAMILIES)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/families"))
    given = parser.parse_args()
    missing = []
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for name in dict.fromkeys((SHIPPED, *given.families)):
        if (network := find(given.folder, name)) is None:
            missing.append(name)
            continue
        print(line(network), flush=True)
        write_png(given.figures / f"samples_{name}.png", samples(network.generator))
    for name in missing:
        print(f"left out: {name}: there is no {given.folder / name / 'weights.safetensors'}, and none ships")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
