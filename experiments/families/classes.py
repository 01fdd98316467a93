"""Classes of held-out cottages, and finished runs of classes.sh → the second table of README.md.

    python experiments/families/classes.py outputs/families/classes --network outputs/train/biggan64/weights.safetensors

With ``--write`` it makes the tables of true and of wrong classes that the runs are given: a wrong one is of the other
kind, and two quarters of the season away. *Found* is the share of images whose class is the true one: the largest
share of a mixture, or the nearest to a free vector. *Seen* is what a network that no loss knows (judge64) reads from
the reconstruction; its first row, of the photos themselves, is the most that can be expected.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from zstar.annotators.load import load_annotator
from zstar.annotators.vocabulary import Vocabulary
from zstar.checkpoints.io import load_weights
from zstar.data.cottages import SEASONS, Cottages
from zstar.data.reading import read_image
from zstar.generators.biggan import BigGAN
from zstar.images import write_png
from zstar.reports.captions import letters, titled
from zstar.reports.numbers import show, with_interval
from zstar.runs.folder import by_age, safe_name

RUNS = {
    "given": "the true class is given", "wrong": "a wrong class is given", "found": "found by trying all, then fixed",
    "mixed": "found by trying all, then a mixture", "unknown": "a mixture, from equal parts",
    "embedding": "found, then a free vector at that z", "z_class": "found, then z and a free vector",
}  # fmt: skip
COLUMNS = ("class", "space", "PSNR, dB [95 %]", "perceptual", "found", "seen", "s per image")
SHOWN = 8


def true_classes(count: int) -> tuple[list[str], Tensor, Tensor]:
    """Names, images and classes of the first held-out cottages."""
    batch = Cottages(count, "test", classed=True).read(range(count))
    return batch.ids, batch.images, batch.extras["class"].argmax(dim=1)


def wrong(kinds: Tensor) -> Tensor:
    """Of the other kind, and two quarters away."""
    return (1 - kinds // SEASONS) * SEASONS + (kinds + 2) % SEASONS


def write(folder: Path, ids: list[str], kinds: Tensor) -> None:
    """The tables that ``data.classes`` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, column in (("true", kinds), ("wrong", wrong(kinds))):
        rows = [f"{image},{kind}" for image, kind in zip(ids, column.tolist(), strict=True)]
        (folder / f"{name}.csv").write_text("\n".join(["image,class", *rows]) + "\n", encoding="utf-8")


def found(folder: Path, generator: BigGAN) -> Tensor:
    """The class of each image by its latents."""
    latents = load_weights(folder / "latents.safetensors")
    if "class" in latents:
        return latents["class"].argmax(dim=1)
    vectors = generator.embed(torch.eye(generator.c_dim))
    return torch.cdist(generator.split(latents["latent"])[1], vectors).argmin(dim=1)


def seen(images: Tensor, annotator: torch.nn.Module, vocabulary: Vocabulary) -> Tensor:
    """The class of each image as an annotator reads it."""
    names = [factor.name for factor in vocabulary.factors]
    read = torch.cat([vocabulary.scale(vocabulary.read(annotator(part).factors)) for part in images.split(32)])
    season, chapel = (read[:, names.index(name)] for name in ("season", "is_chapel"))
    return (chapel > 0.5).long() * SEASONS + (season * SEASONS).long().clamp(0, SEASONS - 1)


def main() -> None:
    """Write tables of classes, or print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--write", action="store_true", help="make true.csv and wrong.csv, and nothing else")
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/families"))
    given = parser.parse_args()
    ids, photos, kinds = true_classes(given.count)
    if given.write:
        write(given.folder, ids, kinds)
        return
    generator, judge = BigGAN(checkpoint=str(given.network)), load_annotator("judge64")
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    share = (seen(photos, *judge) == kinds).float().mean().item()
    print(f"| the photos themselves | – | – | – | – | {share:.2f} | – |")
    rows = [("photos", photos)]
    for name, title in RUNS.items():
        paths = by_age(given.folder, f"{name}_*/result.json")
        if not paths:
            print(f"left out: there is no run {name}")
            continue
        folder, result = paths[-1].parent, json.loads(paths[-1].read_text(encoding="utf-8"))
        made = torch.stack([read_image(folder / "reconstructions" / f"{safe_name(image)}.png", 64) for image in ids])
        shares = [(one == kinds).float().mean().item() for one in (found(folder, generator), seen(made, *judge))]
        ends = [
            [result["summary"][metric][key] for key in ("mean", "low", "high")] for metric in ("psnr", "perceptual")
        ]
        cells = [title, f"`{result['space']}`", *(with_interval(*one) for one in ends)]
        cells += [*(f"{one:.2f}" for one in shares), show(result["summary"]["seconds"]["mean"], 2)]
        print(f"| {' | '.join(cells)} |")
        rows.append((title, made))
    strips = [titled(torch.cat(list(images[:SHOWN]), dim=2), title, letters(64)) for title, images in rows]
    write_png(given.figures / "classes.png", torch.cat(strips, dim=1))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
