"""Nearest patches, and pictures made of another picture's pixels that mean the same."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.config.reasons import Unfit
from zstar.data.cottages import Cottages
from zstar.generators.pixels import Pixels
from zstar.losses.networks import AnnotatorFeatures
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.projectors import matching
from zstar.projectors.analogy import Analogy
from zstar.projectors.matching import distance, identity, nearest, refined, voted
from zstar.spaces.pixels import Pixels as PixelSpace
from zstar.stats.streams import stream


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=stream("maps to be matched", seed))


def smooth(height: int, width: int, seed: int = 0) -> Tensor:
    return F.interpolate(maps(1, 4, height // 6, width // 6, seed=seed), size=(height, width), mode="bicubic")


def plain_distance(a: Tensor, b: Tensor, i: int, j: int, k: int, m: int) -> float:
    """Of the patches of 3 × 3 around (i, j) and (k, m)."""
    parts = [
        float((a[:, i + u, j + v] - b[:, k + u, m + v]).square().mean())
        for u in (-1, 0, 1)
        for v in (-1, 0, 1)
        if 0 <= i + u < a.shape[1] and 0 <= j + v < a.shape[2] and 0 <= k + u < b.shape[1] and 0 <= m + v < b.shape[2]
    ]
    return sum(parts) / len(parts)


def test_small_maps_are_matched_exactly() -> None:
    a, b = maps(2, 3, 6, 7), maps(2, 3, 5, 6, seed=1)
    found = nearest(a, b)
    apart = distance(a, b, found, 3)
    for row in range(2):
        for i in range(6):
            for j in range(7):
                all_pairs = [plain_distance(a[row], b[row], i, j, k, m) for k in range(5) for m in range(6)]
                assert float(apart[row, i, j]) == pytest.approx(min(all_pairs), rel=1e-4)
    near = nearest(a, b, found.roll(1, 3), reach=1)
    assert ((near - found.roll(1, 3)).abs() <= 1).all(), "with a start, places are sought around it"


def test_what_was_moved_is_found_by_all_pairs_and_by_search(monkeypatch: pytest.MonkeyPatch) -> None:
    a = smooth(48, 60)
    b = a.roll((4, -3), (2, 3))
    middle = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    assert ((nearest(a, b) - identity(a))[middle].flatten(2).median(dim=2).values == torch.tensor([4, -3])).all()
    monkeypatch.setattr(matching, "EXHAUSTIVE", 0)
    moved = (nearest(a, b, reach=2) - identity(a))[middle].flatten(2)
    assert (moved == torch.tensor([4, -3])[None, :, None]).all(dim=1).float().mean() > 0.9
    assert (nearest(a, a) == identity(a)).all()


def test_coarse_places_are_places_of_finer_maps() -> None:
    coarse = identity(maps(1, 1, 4, 5))
    assert torch.equal(refined(coarse, (4, 5), (12, 10), (12, 10)), identity(maps(1, 1, 12, 10)))
    moved = refined(coarse.roll(1, 3), (4, 5), (8, 10), (8, 10))
    assert torch.equal(moved[:, :, :, 2:], identity(maps(1, 1, 8, 10))[:, :, :, :-2]), "by whole coarse places"


def test_votes_of_true_matches_are_the_pixels() -> None:
    a = smooth(24, 24)
    b = a.roll((2, 1), (2, 3))
    places = identity(a) + torch.tensor([2, 1]).view(1, 2, 1, 1)
    assert torch.allclose(voted(b, matching.inside(places, (24, 24)), 3)[..., 3:-4, 3:-4], a[..., 3:-4, 3:-4])


class Small(nn.Module):
    """Two random maps of a picture, of its size and of half of it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, stride=2, padding=1)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.first(image).relu()
        return [fine, self.second(fine).relu()]


def analogy(network: nn.Module | None = None, resolution: int = 64, **settings: object) -> Analogy:
    generator = Pixels(resolution=resolution)
    problem = Problem(PixelSpace(generator), {"pixel": Pixel()}, regularizers={}, optimizer=Adam(0.1))
    return Analogy(problem, network or AnnotatorFeatures("annotator64"), **settings)  # ty: ignore


@pytest.fixture(scope="module")
def cottages() -> Tensor:
    return Cottages(count=6, split="test").read(range(6)).images


def test_a_picture_is_its_own_counterpart(cottages: Tensor) -> None:
    places = analogy().match(cottages[:1], cottages[:1])
    assert torch.equal(places, identity(cottages[:1]))


@pytest.mark.slow
def test_counterparts_take_their_colours_and_stay_in_their_places(cottages: Tensor) -> None:
    a, b = cottages[:1], cottages[1:2]
    made = analogy().make(a, b)
    mean = [each.mean(dim=(2, 3)) for each in (made, a, b)]
    assert (mean[0] - mean[2]).abs().mean() < 0.5 * (mean[1] - mean[2]).abs().mean(), "the colours are those of B′"
    seen = AnnotatorFeatures("annotator64")
    made_of, of_a, of_b = (seen(each)[-1] for each in (made, a, b))
    assert (made_of - of_a).square().mean() < (of_b - of_a).square().mean(), "and the things are those of A"


def test_a_batch_is_its_pictures(cottages: Tensor) -> None:
    small = F.avg_pool2d(cottages, 2)
    projector, targets = analogy(Small(), 32), {"image": small[:2], "style": small[2:4]}
    found = projector(Objective(projector.problem, Targets(targets, ["a", "b"])))
    for row, name in enumerate("ab"):
        own = {key: value[row : row + 1] for key, value in targets.items()}
        alone = projector(Objective(projector.problem, Targets(own, [name])))
        assert torch.equal(alone.image[0], found.image[row])


def test_what_can_not_be_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"projector.analogy.patch: 4 is even, and a patch has a middle; set it to 3"):
        analogy(patch=4)
    with pytest.raises(ValueError, match=r"projector.analogy.keep: \[2.0\] are not two shares; give two from 0 to 1"):
        analogy(keep=[2.0])

    from zstar.generators.stylegan2 import StyleGAN2
    from zstar.spaces.w import W

    small = StyleGAN2(resolution=16, z_dim=8, w_dim=8, num_mapping_layers=1, channel_max=8)
    problem = Problem(W(small, prior_samples=16), {"pixel": Pixel()}, regularizers={}, optimizer=Adam(0.1))
    with pytest.raises(Unfit, match=r"projector.analogy: latents of w are no pictures; choose generator=pixels"):
        Analogy(problem, AnnotatorFeatures("annotator64"))
