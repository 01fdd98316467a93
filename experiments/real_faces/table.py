"""Finished runs of run.sh → the tables of README.md, and a sheet of photos that were edited.

    PYTHONPATH=examples/faces python experiments/real_faces/table.py outputs/real_faces \
      --identity mobilefacenet_068.ckpt --backbone vgg_normalised_conv3_1.pth --judge judge.safetensors

Edited photos are read as they were written, and their faces cut out of them: what is measured is what a user gets.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from face_judge import Judge  # of examples/faces
from omegaconf import OmegaConf
from torch import Tensor

from zstar.checkpoints.io import load_weights
from zstar.data.alignment import cut_out
from zstar.data.faces import Faces
from zstar.data.reading import read_large
from zstar.images import grid, write_png
from zstar.losses.mobilefacenet import MobileFaceNet
from zstar.metrics.identity import Identity
from zstar.postprocess.base import to_size
from zstar.reports.numbers import mean_with_interval, with_interval
from zstar.runs.folder import by_age, safe_name

SIZE = 64  # pixels of a face
WAYS = {"encoder": "encoder", "z": "z", "theta": "z and θ", "near": "z and θ, locality", "maps": "z and maps"}
SHOWN = 6


def newest(top: Path, name: str) -> tuple[Path, dict[str, Any]]:
    """Folder and result of the last run of a name."""
    path = by_age(top, f"{name}_*/result.json")[-1]
    return path.parent, json.loads(path.read_text(encoding="utf-8"))


def show(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """A table in Markdown."""
    columns = list(columns)
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(flush=True)


def reconstructions(top: Path) -> None:
    """How near photos are come to, by each way."""
    rows = []
    for way, title in WAYS.items():
        _, result = newest(top, way)
        cells = [with_interval(**{k: result["summary"][name][k] for k in ("mean", "low", "high")})
                 for name in ("psnr", "face_identity")]  # fmt: skip
        rows.append([title, *cells, f"{result['bytes_per_image'] / 1024:,.1f}"])
    show(["projected by", "PSNR, dB [95 %]", "identity distance [95 %]", "KiB an image"], rows)


class Photos:
    """The photos of an editing run, as they were and as they are, as faces of 64 pixels."""

    def __init__(self, folder: Path, ids: list[str]) -> None:
        node = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml").data)
        keys = ("path", "align", "landmarks", "eyes", "count", "first")
        self.data = Faces(**{key: node[key] for key in keys}, resolution=SIZE, channels=3)
        batch = self.data.read(range(len(self.data)))
        self.folder, self.ids, self.corners = folder, ids, batch.corners
        self.before = torch.stack([dict(zip(batch.ids, batch.images, strict=True))[name] for name in ids])
        wholes = [self.data.whole(index) for index in range(len(self.data))]
        self.photos = [dict((w.ids[0], w.images[0]) for w in wholes if w.ids)[name] for name in ids]

    def edited(self, direction: str, alpha: float) -> list[Tensor]:
        """The whole photos at a strength."""
        title = f"{direction}{alpha:+.6g}.png"
        paths = [self.folder / "photos" / safe_name(direction) / safe_name(name) / title for name in self.ids]
        return [read_large(path, 3, "resize")[0] for path in paths]

    def faces(self, photos: list[Tensor]) -> Tensor:
        """The faces in photos."""
        return torch.stack([cut_out(p, self.corners[n], SIZE) for n, p in zip(self.ids, photos, strict=True)])


def main() -> None:
    """Print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--identity", required=True, help="MobileFaceNet's weights")
    parser.add_argument("--backbone", required=True, help="of the judge")
    parser.add_argument("--judge", required=True)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/real_faces"))
    given = parser.parse_args()
    reconstructions(given.folder)
    distance = Identity(MobileFaceNet(given.identity), [112, 96], [0.0, 1.0, 0.07, 0.93])
    judge = Judge(given.backbone)
    judge.load_state_dict(load_weights(given.judge))
    names, rows, cells = ["happy", "age", "male"], [], []
    for way, title in list(WAYS.items())[1:]:
        folder, result = newest(given.folder, f"edit_{way}")
        photos = Photos(folder, result["images"])
        for name in names:
            low, high = (photos.edited(name, alpha) for alpha in (-2.0, 2.0))
            ends = [photos.faces(some) for some in (low, high)]
            scores = [judge(end)[:, names.index(name)] for end in ends]
            apart = torch.stack([distance(end, photos.before) for end in ends]).mean(dim=0)
            own = result["scores"][name]
            reached, leaked = (own.get(f"leakage/{key}") for key in ("reached", "mean"))
            rows.append(
                [name, title, mean_with_interval(scores[1] - scores[0]),
                 "–" if reached is None else f"{reached['mean'] * 100:.0f} %",
                 "–" if leaked is None else with_interval(*(leaked[key] for key in ("mean", "low", "high"))),
                 mean_with_interval(apart), str(len(apart))]
            )  # fmt: skip
            cells.append((f"{way}_{name}", photos.photos, low, photos.edited(name, 0.0), high))
    show(
        ["direction", "projected by", "judge's score in the photo, α = 2 less α = −2 [95 %]", "0.3 reached",
         "leakage at that [95 %]", "identity distance, α = ±2 [95 %]", "N"], rows,
    )  # fmt: skip
    given.figures.mkdir(parents=True, exist_ok=True)
    for name, *columns in cells:
        size = tuple(columns[0][0].shape[1:])
        pictures = [to_size(column[k][None], size)[0] for k in range(min(SHOWN, len(columns[0]))) for column in columns]
        write_png(given.figures / f"{name}.png", grid(torch.stack(pictures), len(columns), gap=4))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
