"""Levels and agreement of units against the figures of the reference computation."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from zstar.dissection.agreeing import Agreement
from zstar.dissection.agreement import Counts, Tally
from zstar.dissection.base import Parts, Purpose, Subject
from zstar.dissection.quantiles import Quantiles
from zstar.generators.base import AbstractGenerator
from zstar.generators.module import Module
from zstar.segmenters.base import AbstractSegmenter, Kind


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    return load_file(shared / "golden" / "dissection_gandissect" / "io.safetensors")


def streams(maps: Tensor) -> Tensor:
    """[n, u, h, w] → the values of each unit."""
    return maps.transpose(0, 1).flatten(1)


def levels(golden: dict[str, Tensor], share: float) -> Tensor:
    sketch = Quantiles(16)
    for part in golden["activations"].split(5):
        sketch.add(streams(part))
    return sketch.at(torch.tensor([1 - share], dtype=torch.float64))


def counted(golden: dict[str, Tensor], found: Tensor) -> Counts:
    """Row 0 of the reference's tables is what no label is of; here it has no row."""
    tally = Tally(found, golden["label_category"][1:] - 1)
    for maps, labels in zip(golden["activations"].split(5), golden["segmentation"].split(5), strict=True):
        tally.add(maps, labels - 1)
    return tally.counts()


@pytest.mark.parametrize("share", [0.005, 0.05, 0.2])
def test_levels_and_counts_at_a_fixed_quantile(golden: dict[str, Tensor], share: float) -> None:
    wanted = {name.split("/")[1]: value for name, value in golden.items() if name.startswith(f"q{share}/")}
    found = levels(golden, share)
    torch.testing.assert_close(found[:, 0], wanted["level"], atol=1e-5, rtol=0)
    counts, kinds = counted(golden, wanted["level"][:, None]), golden["label_category"][1:] - 1
    assert torch.equal(counts.shared[0], wanted["intersection_counts"][1:])
    assert torch.equal(counts.labelled, wanted["label_counts"][1:])
    assert torch.equal(counts.active[0], wanted["category_activation_counts"][1:])
    assert torch.equal(counts.total, wanted["total_counts"][1:])
    iou, iqr = counts.iou(kinds)[0], counts.iqr(kinds)[0]
    torch.testing.assert_close(iou, wanted["iou_scores"][1:], atol=1e-9, rtol=0)
    torch.testing.assert_close(iqr, wanted["iqr_scores"][1:], atol=1e-9, rtol=0)
    torch.testing.assert_close(iou.amax(dim=0), wanted["best_iou"], atol=1e-9, rtol=0)
    assert torch.equal(counted(golden, found).shared, counts.shared)


def test_the_best_level_of_a_ladder(golden: dict[str, Tensor]) -> None:
    wanted, kinds = golden["q0.005/max_iou"][1:], golden["label_category"][1:] - 1
    shares = golden["q0.005/max_iou_fracs"].double()
    sketch, size = Quantiles(16, capacity=20000), golden["segmentation"].shape[1:]
    large = torch.nn.functional.interpolate(golden["activations"], tuple(size), mode="bilinear", align_corners=False)
    sketch.add(streams(large))
    ladder = sketch.at((1 - shares).flip(0))
    counts = counted(golden, ladder)
    pixels = golden["segmentation"].numel()
    shared, labelled = counts.shared / pixels, (counts.labelled / pixels)[:, None]
    union = labelled + counts.active[:, kinds] / counts.total[kinds][:, None] - shared
    best = (shared / union).amax(dim=0)
    occurs = (labelled[:, 0] > 0) & (best > 0).any(dim=1)
    # Two units are zero nearly everywhere; there the reference reads a slope between equal values off its sketch.
    moving = (golden["activations"] == 0).float().mean(dim=(0, 2, 3)) < 0.5
    assert occurs.sum() == 5 and moving.sum() == 14
    torch.testing.assert_close(best[occurs][:, moving].float(), wanted[occurs][:, moving], atol=2e-3, rtol=0)


def test_the_wrong_grid_would_be_seen(golden: dict[str, Tensor]) -> None:
    counts = counted(golden, golden["q0.05_align_corners_false/level"][:, None])
    assert not torch.equal(counts.shared[0], golden["q0.05_align_corners_false/intersection_counts"][1:])


class Given(nn.Module):
    """A latent that is a picture's activations and its number → the maps, and a picture in which its number can be
    read."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        self.maps(z[:, :-1].view(-1, 16, 8, 8))
        return (z[:, -1] / 100)[:, None, None, None].expand(-1, 1, 32, 32)


class Masks(AbstractSegmenter):
    """Knows the masks of all pictures by their numbers."""

    classes = ("sky", "tree", "building", "stripes", "dots", "absent")
    kinds: Mapping[str, Kind] = {
        name: "object" if name in ("sky", "tree", "building") else "material" for name in classes
    }

    def __init__(self, labels: Tensor) -> None:
        super().__init__()
        self.labels = labels - 1  # here −1 is none

    def forward(self, images: Tensor) -> Tensor:
        return self.labels[(images[:, 0, 0, 0] * 100).round().long()]

    def logits(self, images: Tensor) -> Tensor:
        raise AssertionError("nobody asks for scores")

    def require_images(self, generator: AbstractGenerator) -> None:
        """Any."""


@pytest.mark.parametrize("share", [0.005, 0.05, 0.2])
def test_pictures_labels_and_what_can_be_interpreted(golden: dict[str, Tensor], share: float, tmp_path: Path) -> None:
    wanted = {name.split("/")[1]: value for name, value in golden.items() if name.startswith(f"q{share}/")}
    latents = torch.cat([golden["activations"].flatten(1), torch.arange(12.0)[:, None]], dim=1)
    generator, masks = Module(Given(), [latents.shape[1]], layers=["maps"]), Masks(golden["segmentation"])

    class Published(Subject):
        """Has the activations of the reference's run as its samples."""

        def latents(self, purpose: Purpose, count: int | None = None) -> Iterator[Tensor]:
            return iter(latents.split(self.batch))

    subject = Published(generator, masks, masks, ["maps"], samples=12, batch=5)
    found = Agreement("quantile", share, label="iou", tops=5)(subject, {}, Parts(tmp_path)).tables
    units, tops = found["units"].sort("unit"), found["tops"].sort("unit", "rank")
    seen = wanted["best_iou"] > 0  # of a unit that is nowhere active, no class is the best
    names = [masks.classes[label - 1] for label in wanted["best_label"].tolist()]
    assert [name for name, known in zip(units["class"], seen, strict=True) if known] == [
        name for name, known in zip(names, seen, strict=True) if known
    ]
    assert ((units["iou"] > 0.05) & (units["iqr"] > 0.01)).cast(int).to_list() == (
        wanted["interpretable_at_iou0.05_iqr0.01"].tolist()
    )
    values = torch.tensor(tops["value"].to_list()).view(16, 5)
    torch.testing.assert_close(values, wanted["top5_values"], atol=1e-5, rtol=0)
    alive = wanted["top5_values"].diff(dim=1).ne(0).all(dim=1)  # equal ones are in no order
    assert alive.sum() >= 14
    assert torch.equal(torch.tensor(tops["sample"].to_list()).view(16, 5)[alive], wanted["top5_images"][alive])
