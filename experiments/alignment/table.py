"""Finished runs of run.sh → the table of README.md, and a sheet of what each way has made.

    PYTHONPATH=examples/faces:examples/celeba_vae python experiments/alignment/table.py outputs/alignment \
      --identity mobilefacenet_068.ckpt --expression face_expression_model-weights_manifest.json

Each reconstruction, and each edit of it, is brought back to where it was cut out, and all are looked at in one frame:
the square around the true landmarks that has the eyes at 0.35 and 0.65 of its width and at 0.46 of its height.
"""

import argparse
import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from face_scores import Expression  # of examples/faces
from omegaconf import OmegaConf
from torch import Tensor

from zstar.checkpoints.io import load_weights
from zstar.config.build import to_plain
from zstar.data.alignment import Corners, celeba_corners, cut_out, eyes_corners
from zstar.data.landmarks import read_landmarks
from zstar.data.reading import read_large
from zstar.images import grid, write_png
from zstar.inversion import Inversion
from zstar.losses.mobilefacenet import MobileFaceNet
from zstar.metrics.identity import Identity
from zstar.metrics.psnr import PSNR
from zstar.projection.job import make_data
from zstar.projection.pipeline import Pipeline
from zstar.reports.numbers import mean_with_interval
from zstar.runs.folder import by_age

SIZE, EYES = 64, [[0.35, 0.46], [0.65, 0.46]]  # of the frame
WAYS = {"as_they_come": "as they come", "detected": "detected landmarks", "given": "true landmarks"}
HAPPY, SHOWN = 1, 6


@dataclass(frozen=True)
class Found:
    """What one way has made of the photos, in the frame.

    Attributes:
        ids: Names of the photos that it has a picture of.
        error: Of the eyes of its crops from the true ones, in shares of their distance; none without landmarks.
        frames: The reconstructions, and edits at α = −2 and 2, each ``[n, 3, 64, 64]``.
    """

    ids: list[str]
    error: list[float]
    frames: list[Tensor]


def read(folder: Path, truth: dict[str, np.ndarray]) -> Found:
    """The run of one way."""
    plain = to_plain(OmegaConf.load(folder / "config.yaml"))
    source = json.loads((folder / "result.json").read_text(encoding="utf-8"))["inversion"]
    pipeline = Pipeline(plain, "there is nothing to look at")
    data, _ = make_data(deepcopy(plain) | {"inversion": None}, pipeline)
    batch, inversion = data.read(range(len(data))), Inversion.load(Path(source))
    moved = load_weights(folder / "edited" / "Smiling.safetensors")["latent"]  # at α = −2, 0 and 2
    pictures = [
        pipeline.generator.synthesize(z, "z").clamp(-1, 1) for z in (inversion.latent, moved[:, 0], moved[:, 2])
    ]
    frames: list[list[Tensor]] = [[], [], []]
    error = []
    for row, name in enumerate(inversion.ids):
        points, corners = truth[name], batch.corners.get(name)
        if corners is None:  # the whole photo, squashed
            height, width = batch.shapes[name]
            corners = np.array([[0, 0], [0, height], [width, height], [width, 0]]) - 0.5
        else:
            apart = np.abs(corners - celeba_corners(points, square=False)).max()
            error.append(float(apart / np.hypot(*(points[1] - points[0]))))
        frame = within(eyes_corners(points, EYES), corners, pictures[0].shape[-1])
        for kept, picture in zip(frames, pictures, strict=True):
            kept.append(cut_out(picture[row], frame, SIZE))
    return Found(list(inversion.ids), error, [torch.stack(kept) for kept in frames])


def within(inner: Corners, outer: Corners, size: int) -> Corners:
    """Corners of one part of a photo, in the pixels of a picture of another part."""
    axes = np.stack([outer[3] - outer[0], outer[1] - outer[0]], axis=1)
    return (inner - outer[0]) @ np.linalg.inv(axes).T * size - 0.5


def main() -> None:
    """Print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--identity", required=True, help="MobileFaceNet's weights")
    parser.add_argument("--expression", required=True, help="the manifest of the expression network")
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/alignment"))
    given = parser.parse_args()
    truth = {name: faces[0].points for name, faces in read_landmarks(given.folder / "landmarks.csv").items()}
    distance = Identity(MobileFaceNet(given.identity), [112, 96], [0.0, 1.0, 0.07, 0.93])
    expression, psnr = Expression(given.expression), PSNR()
    photos = {
        name: cut_out(read_large(given.folder / "photos" / name, 3, "resize")[0], eyes_corners(points, EYES), SIZE)
        for name, points in truth.items()
    }
    names = ["cut out by", "faces", "corners off, of the eyes' distance", "PSNR of the face, dB [95 %]"]
    names += ["identity distance [95 %]", "happier, α = 2 less α = −2 [95 %]", "identity distance, α = ±2 [95 %]"]
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    sheet = {}
    for way, title in WAYS.items():
        folder = by_age(given.folder, f"{way}_*/result.json")[-1].parent
        found = read(folder, truth)
        targets, (made, low, high) = torch.stack([photos[name] for name in found.ids]), found.frames
        happier = expression(high)[:, HAPPY] - expression(low)[:, HAPPY]
        edited = (distance(low, targets) + distance(high, targets)) / 2
        off = f"{np.median(found.error):.3f}" if found.error else "–"
        cells = [title, f"{len(found.ids)} of {len(truth)}", off, mean_with_interval(psnr(made, targets))]
        print(
            "| " + " | ".join([*cells, *map(mean_with_interval, (distance(made, targets), happier, edited))]) + " |",
            flush=True,
        )
        sheet[way] = dict(zip(found.ids, zip(made, low, high, strict=True), strict=True))
    shown = [name for name in truth if all(name in made for made in sheet.values())][:SHOWN]
    cells = [
        cell for name in shown for cell in (photos[name], *(each for made in sheet.values() for each in made[name]))
    ]
    if cells:
        given.figures.mkdir(parents=True, exist_ok=True)
        write_png(given.figures / "faces.png", grid(torch.stack(cells), 1 + 3 * len(sheet), gap=4))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
