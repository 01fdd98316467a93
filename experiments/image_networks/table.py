"""Finished runs of run.sh → the table of README.md, sheets of pictures, and quality over seconds.

python experiments/image_networks/table.py
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from zstar.data.reading import read_image
from zstar.images import write_png
from zstar.losses.content import Content
from zstar.losses.gram import Gram
from zstar.losses.recognise import feature_network
from zstar.reports.numbers import with_interval
from zstar.runs.folder import by_age, safe_name

OUT = Path("outputs/image_networks")
FIGURES = Path("outputs/figures/image_networks")
METRICS = ("psnr", "ssim", "perceptual")
RUNS = {
    "label_maps": "label map → cottage, network",
    "style_network": "style, network",
    "style_pixels": "style, optimisation of pixels",
    "style_latent": "style, optimisation in w+",
    "style_weights": "style, optimisation in w+, and θ",
    "loss_pixel": "super-resolution, pixel",
    "loss_perceptual": "super-resolution, pixel + perceptual",
    "loss_adversarial": "super-resolution, pixel + adversary",
    "loss_contrastive": "super-resolution, pixel + patch_nce",
    "small_pixels": "super-resolution, pixels with total variation",
    "small_latent": "super-resolution, optimisation in w+",
    "small_weights": "super-resolution, optimisation in w+, and θ",
}
STYLE = Path("experiments/style/swirls.png")
SHOWN = 8  # pictures of a sheet: the first ones, good or bad


def main() -> None:
    """Print what there is."""
    print("| | PSNR, dB | SSIM | perceptual distance (judge64) | seconds per image | N |\n|---|---|---|---|---|---|")
    panels: dict[str, list[tuple[str, float, float]]] = {}
    for name, title in RUNS.items():
        paths = by_age(OUT / "runs", f"{name}_*/result.json")
        if paths:
            summary = json.loads(paths[-1].read_text(encoding="utf-8"))["summary"]
            triples = [[summary[metric][key] for key in ("mean", "low", "high")] for metric in METRICS]
            kind, _, way = title.partition(", ")
            value = style_terms(paths[-1].parent) if kind == "style" else triples[0][0]
            title += f" (style + content {value:.2f})" if kind == "style" else ""
            print(row(title, triples, summary["seconds"]["mean"], summary["psnr"]["n"]))
            draw(paths[-1].parent, name)
            panels.setdefault(kind, []).append((way, summary["seconds"]["mean"], value))
    path = OUT / "season.json"
    if path.is_file():
        for name, values in json.loads(path.read_text(encoding="utf-8")).items():
            print(row(f"season + 0.5, {name}", [values[metric] for metric in METRICS], values["seconds"], ""))
            if name != "nothing":
                panels.setdefault("season + 0.5", []).append((name, values["seconds"], values["psnr"][0]))
        FIGURES.mkdir(parents=True, exist_ok=True)
        (FIGURES / "season.png").write_bytes(path.with_suffix(".png").read_bytes())
    for kind, ways in panels.items():
        if len(ways) > 1:
            plot(kind, ways)


@torch.no_grad()
def style_terms(folder: Path) -> float:
    """Relative distances of Gram matrices and of content, as ``experiment=style_transfer`` adds them up: the mean over
    the pictures as they were written."""
    files = sorted((folder / "targets").glob("*.png"))
    made, content = (
        torch.stack([read_image(folder / kind / file.name, 64) for file in files])
        for kind in ("reconstructions", "targets")
    )
    style = read_image(STYLE, 64).expand_as(content)
    network = feature_network("annotator64")
    gram, near = Gram(network, normalization="relative"), Content(network, layers=[2], relative=True)
    return float((gram(made, style) + near(made, content)).mean())


def plot(kind: str, ways: list[tuple[str, float, float]]) -> None:
    """Quality over seconds, of a kind of picture."""
    figure, axis = plt.subplots(figsize=(5, 4))
    for (way, seconds, value), marker in zip(ways, "osD^vP*X", strict=False):
        axis.scatter(seconds, value, s=45, marker=marker, label=way)
    axis.legend(fontsize=8)
    axis.set(xscale="log", xlabel="seconds per image", title=kind)
    axis.set_ylabel("style + content, lower is better" if kind == "style" else "PSNR, dB")
    axis.margins(0.15)
    figure.tight_layout()
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / f"seconds_{safe_name(kind.partition(' +')[0])}.png", dpi=130)
    plt.close(figure)


def row(title: str, triples: list[list[float]], seconds: float, count: object) -> str:
    """A line of the table."""
    cells = [with_interval(*triple) for triple in triples]
    return f"| {title} | {' | '.join(cells)} | {seconds:.3g} | {count} |"


def draw(folder: Path, name: str) -> None:
    """What the first images were, what was seen of them where that is another picture, and what came of it."""
    files = sorted((folder / "targets").glob("*.png"))[:SHOWN]
    kinds = [kind for kind in ("targets", "observed", "reconstructions") if (folder / kind).is_dir()]
    size = read_image(files[0], 64).shape[-1]
    rows = [torch.cat([read_image(folder / kind / file.name, size) for file in files], dim=2) for kind in kinds]
    write_png(FIGURES / f"{name}.png", torch.cat(rows, dim=1))


if __name__ == "__main__":
    main()
