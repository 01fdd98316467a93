"""CPU seconds for the agreement of all units of a layer with all classes, against a plain computation of the same.

The plain one goes the way of the reference implementation: each image's maps are upsampled, cut at the levels, and laid
over a mask of each class, one after the other. Both get the same maps, labels and levels, in turn, batch by batch, in
one run; what a batch costs the generator and the segmenter counts for neither.

    OMP_NUM_THREADS=1 python experiments/speed/dissection.py --count 10000
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from zstar.dissection.agreement import Counts, Tally
from zstar.dissection.base import Subject
from zstar.dissection.quantiles import Quantiles
from zstar.dissection.survey import kinds_of_classes
from zstar.generators.reading import read
from zstar.generators.stylegan2 import StyleGAN2
from zstar.segmenters.annotator import Annotator

PARTS = ["wall", "roof", "dome", "chimney", "door", "window"]
STEPS = 100


class Plain:
    """Counts as they are defined, a mask at a time."""

    def __init__(self, levels: Tensor, kinds: Tensor) -> None:
        self.levels, self.kinds, units, classes = levels, kinds, len(levels), len(kinds)
        self.shared = torch.zeros(classes, units, dtype=torch.int64)
        self.active = torch.zeros(int(kinds.max()) + 1, units, dtype=torch.int64)
        self.labelled = torch.zeros(classes, dtype=torch.int64)
        self.total = torch.zeros(int(kinds.max()) + 1, dtype=torch.int64)

    def add(self, maps: Tensor, labels: Tensor) -> None:
        for own, classes in zip(maps, labels, strict=True):
            large = F.interpolate(own[None], tuple(classes.shape), mode="bilinear", align_corners=False)[0]
            active = large > self.levels[:, None, None]
            present = classes.unique()
            for name in present.tolist():
                mask = classes == name
                self.shared[name] += (active & mask).flatten(1).sum(dim=1)
                self.labelled[name] += mask.sum()
            for kind in self.kinds[present].unique().tolist():
                self.active[kind] += active.flatten(1).sum(dim=1)
                self.total[kind] += classes.numel()


class Clock:
    """CPU seconds of this process, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, action: Callable[[], object]) -> None:
        begun = time.process_time()
        action()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="samples")
    parser.add_argument("--layer", default="b32.conv0")
    parser.add_argument("--share", type=float, default=0.005, help="of a unit's values above its level")
    parser.add_argument("--batch", type=int, default=50)
    options = parser.parse_args()
    generator, segmenter = StyleGAN2(checkpoint="cottages64"), Annotator(parts=PARTS, materials=["grass"])
    subject = Subject(generator, segmenter, segmenter, [options.layer], options.count, batch=options.batch)
    with torch.no_grad():
        clock, units = compare(subject, options.layer, options.share)
    first = clock.seconds["plain, 1 level"]
    print(f"{options.count} samples, {units} units of {options.layer}, {len(segmenter.classes)} classes")
    for name, seconds in clock.seconds.items():
        ratio = f"{first / max(seconds, 1e-9):6.1f} times faster than plain" if "Tally" in name else ""
        print(f"{name:18s} {seconds:9.2f} s  {1e3 * seconds / options.count:8.3f} ms a sample  {ratio}")


def compare(subject: Subject, layer: str, share: float) -> tuple[Clock, int]:
    """Both on each batch; they have to agree on every count."""
    clock, (_, kinds) = Clock(), kinds_of_classes(subject)
    sketch: Quantiles | None = None
    for latent in subject.latents("dissected"):
        maps, _ = read(subject.generator, {"latent": latent}, subject.space, "const", [layer])
        sketch = sketch or Quantiles(maps[layer].shape[1])
        values = maps[layer].transpose(0, 1).flatten(1)
        clock("levels", lambda values=values, sketch=sketch: sketch.add(values))
    level, ends = (sketch.at(1 - torch.tensor(at, dtype=torch.float64)) for at in ([share], [0.99, 0.0005]))
    ladder = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * torch.linspace(0, 1, STEPS)
    plain, one, many = Plain(level[:, 0], kinds), Tally(level, kinds), Tally(ladder, kinds, even=True)
    for latent in subject.latents("dissected"):
        maps, images = read(subject.generator, {"latent": latent}, subject.space, "const", [layer])
        labels = subject.segmenter(images)
        for name, tally in (("plain, 1 level", plain), ("Tally, 1 level", one), (f"Tally, {STEPS} levels", many)):
            clock(name, lambda tally=tally, maps=maps, labels=labels: tally.add(maps[layer], labels))
    found = one.counts()
    wanted = Counts(plain.shared[None], plain.active[None], plain.labelled, plain.total)
    same = all(torch.equal(getattr(found, name), getattr(wanted, name)) for name in vars(found))
    print(f"all counts are the same: {same}")
    return clock, len(level)


if __name__ == "__main__":
    main()
