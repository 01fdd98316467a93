"""What can be done with an encoder's latents: a proxy for editability beside the reconstruction.

python experiments/encoders/editability.py outputs/train/plain/weights.safetensors outputs/train/e4e/weights.safetensors

For held-out cottages it measures, per encoder: PSNR; the rows' distance from each other (0 in w, about 1 for rows drawn
independently); KID of the pictures halfway between two inverted ones, beside real ones; and for four factors, an edit
along the difference of the means of samples with much and little of it, scaled for each image until the annotator reads
the factor moved by 0.3 of its range ("matched effect"): the share of images that get there, and how far the readings of
all other factors moved meanwhile. The annotator reads, so a change that it does not see does not count.
"""

import argparse

import torch
from torch import Tensor

from zstar.annotators.load import load_annotator
from zstar.data.cottages import Cottages
from zstar.encoders.trained import load_encoder
from zstar.generators.stylegan2 import StyleGAN2
from zstar.metrics.distribution import kid, pooled
from zstar.regularizers.spread import Spread
from zstar.reports.numbers import show, with_interval
from zstar.spaces.w_plus import WPlus
from zstar.stats.streams import stream

EDITS = ("time_of_day", "season", "roof_hue", "is_chapel")
EFFECT, STRENGTHS = 0.3, torch.linspace(0, 1.5, 16)


class Reader:
    """The annotator's view of latents."""

    def __init__(self) -> None:
        self.generator = StyleGAN2(checkpoint="cottages64")
        self.space = WPlus(self.generator)
        self.annotator, self.vocabulary = load_annotator("annotator64")
        self.names = [factor.name for factor in self.vocabulary.factors]

    @torch.no_grad()
    def read(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Factors on the scale [0, 1], and pooled features, of the pictures of latents."""
        factors, features = [], []
        for part in latents.split(64):
            seen = self.annotator(self.space.decode(part).clamp(-1, 1))
            factors.append(self.vocabulary.scale(self.vocabulary.read(seen.factors)).clamp(0, 1))
            features.append(pooled(seen.features))
        return torch.cat(factors), torch.cat(features)

    def directions(self, count: int) -> Tensor:
        """A direction of w for each edit: mean of the fifth of samples with most of it minus that with least."""
        w = self.generator.sample(count, stream("samples to find directions", 0), space="w")
        factors, _ = self.read(self.generator.lift(w, "w", "w_plus"))
        found = []
        for name in EDITS:
            order = factors[:, self.names.index(name)].argsort()
            found.append(w[order[-count // 5 :]].mean(dim=0) - w[order[: count // 5]].mean(dim=0))
        return torch.stack(found)


def matched(reader: Reader, latents: Tensor, direction: Tensor, name: str) -> tuple[float, float]:
    """Share of images whose factor moves by EFFECT, and mean movement of the other factors there."""
    before, _ = reader.read(latents)
    column = reader.names.index(name)
    sign = torch.where(before[:, column] < 0.5, 1.0, -1.0)
    runs = [reader.read(latents + (sign * s)[:, None, None] * direction)[0] for s in STRENGTHS]
    moved = torch.stack([(run - before)[:, column] * sign for run in runs])  # [strengths, images]
    reached = moved >= EFFECT
    first = reached.float().argmax(dim=0)
    after = torch.stack(runs)[first, torch.arange(len(latents))]
    others = [k for k in range(len(reader.names)) if k != column]
    leak = (after - before)[:, others].abs().mean(dim=1)
    good = reached.any(dim=0)
    return good.float().mean().item(), leak[good].mean().item()


@torch.no_grad()
def main() -> None:
    """Print a row per encoder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoders", nargs="+")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--samples", type=int, default=2000, help="to find directions from")
    given = parser.parse_args()
    reader, count = Reader(), given.images
    images = torch.cat([batch.images for batch in Cottages(count).batches(50)])
    real = torch.cat([pooled(reader.annotator(part).features) for part in images.split(50)])
    directions, spread = reader.directions(given.samples), Spread(reader.space)
    columns = ["encoder", "PSNR, dB", "rows apart", "KID halfway", *(f"{name}: reached, leak" for name in EDITS)]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for path in given.encoders:
        encoder = load_encoder(path)
        latents = torch.cat([encoder(reader.space, part)[-1] for part in images.split(50)])
        made = torch.cat([reader.space.decode(part).clamp(-1, 1) for part in latents.split(50)])
        psnr = -10 * ((made - images) / 2).square().mean(dim=(1, 2, 3)).log10()
        halfway = kid(real, reader.read((latents + latents.roll(1, dims=0)) / 2)[1], size=100)
        cells = [path.split("/")[-2], f"{psnr.mean():.2f}", f"{spread({'latent': latents}, made).mean():.3f}"]
        cells.append(with_interval(halfway.value, halfway.low, halfway.high, 4))
        for name, direction in zip(EDITS, directions, strict=True):
            reached, leak = matched(reader, latents[:64], direction, name)
            cells.append(f"{100 * reached:.0f} %, {show(leak, 4)}")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
