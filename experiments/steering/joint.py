"""A direction learned for a generator that stays fixed, beside one that was learned with its generator: JOINT.md.

python experiments/steering/joint.py outputs/steering/fixed outputs/steering/joint annotator.safetensors \\
  --figures experiments/steering
"""

import argparse
import json
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor
from torchvision.utils import save_image

from zstar.annotators.load import load_annotator
from zstar.config.build import build
from zstar.data.cottages import Cottages
from zstar.directions.library import load_directions
from zstar.generators.stylegan2 import StyleGAN2
from zstar.metrics.distribution import kid, pooled
from zstar.stats.streams import stream
from zstar.tasks.curves import strips

HERE = Path(__file__).parent
EDIT, SHOWN = "shift_x", 3


def main() -> None:
    """Print the tables, draw the strips."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fixed", type=Path)
    parser.add_argument("joint", type=Path)
    parser.add_argument("annotator")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/steering"))
    given = parser.parse_args()
    fixed, joint, count = given.fixed, given.joint, given.images
    tables(fixed, joint)
    edit = build(OmegaConf.load(HERE.parents[1] / "conf" / "edit" / f"{EDIT}.yaml")[EDIT])
    network, _ = load_annotator(given.annotator)
    pairs = (
        ("cottages64", fixed / "weights.safetensors"),
        (joint / "weights.safetensors", joint / "directions.safetensors"),
    )
    real, pictures = torch.cat([seen(network, b.images) for b in Cottages(count, "test", 64).batches(50)]), []
    for checkpoint, directions in pairs:
        generator, rng = StyleGAN2(checkpoint=str(checkpoint)), stream("samples of both", 0)
        walk = load_directions(directions, generator)[EDIT].move
        latents = generator.sample(count, rng, space="w")  # of the same z in both
        pictures.append(strips(edit, walk, lambda v, g=generator: g.synthesize(v, "w"), latents[:SHOWN]))
        made = torch.cat([seen(network, generator.synthesize(part, "w").clamp(-1, 1)) for part in latents.split(50)])
        print(f"KID of {count} samples of {checkpoint}: {kid(made, real)}", flush=True)
    given.figures.mkdir(parents=True, exist_ok=True)
    save_image(
        torch.cat(pictures).clamp(-1, 1), given.figures / "joint.png", nrow=8, normalize=True, value_range=(-1, 1)
    )


def tables(*folders: Path) -> None:
    """What both trainings measured at their end, each on 64 held-out latents."""
    results = [json.loads((folder / "result.json").read_text(encoding="utf-8")) for folder in folders]
    print("| | loss | slope | R² | R² of the mean |\n|" + "---|" * 5)
    for folder, result in zip(folders, results, strict=True):
        cells = [f"{result['scores'][f'{EDIT}/{key}']:.3f}" for key in ("loss", "slope", "r2", "r2_mean")]
        print(f"| {folder.name} | {' | '.join(cells)} |")
    curves = [
        json.loads(path.read_text(encoding="utf-8"))["curves"][EDIT]
        for path in (folders[0] / "weights.json", folders[1] / "directions.json")
    ]
    print(f"\n| α asked for | {' | '.join(f'{folder.name}: achieved | loss' for folder in folders)} |\n|" + "---|" * 5)
    for line in zip(*curves, strict=True):
        cells = ["{achieved:+.3f} ({low:+.3f} … {high:+.3f}) | {loss:.3f}".format(**row) for row in line]
        print(f"| {line[0]['alpha']:+.4f} | {' | '.join(cells)} |")


def seen(network: torch.nn.Module, images: Tensor) -> Tensor:
    """Features that samples are compared by."""
    return pooled(network(images.contiguous(memory_format=torch.channels_last)).features)


if __name__ == "__main__":
    with torch.no_grad():
        main()
