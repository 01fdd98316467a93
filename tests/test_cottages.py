"""The cottage world: pure, exact, and different in every factor."""

import pytest
import torch
from torch import Tensor

from zstar.data.cottages import CLASSES, FACTORS, Cottages, render, sample_factors, world_hash

NAMES = list(FACTORS)
FLAGS = [name for name, factor in FACTORS.items() if factor.kind == "flag"]
OWNERS = {
    "sun_x": ["sun_present"],
    "cloud_x": ["cloud_left_present", "cloud_right_present"],
    "door_x": ["door_present"],
    "window_size": ["window_present"],
    "tree_left_x": ["tree_left_present"],
    "tree_right_x": ["tree_right_present"],
    "tree_size": ["tree_left_present", "tree_right_present"],
}
CLASS_OF = {
    "roof_hue": ["roof", "dome"],
    "wall_warmth": ["wall"],
    "door_x": ["door"],
    "door_present": ["door"],
    "window_size": ["window"],
    "window_present": ["window"],
    "sun_x": ["sun"],
    "sun_present": ["sun"],
    "cloud_x": ["cloud"],
    "chimney_present": ["chimney"],
    "hill_height": ["hill"],
    "is_chapel": ["roof", "dome", "chimney", "wall"],
}


def scene(**values: float) -> Tensor:
    """One image's factors: everything present, a cottage in the afternoon, changed as told."""
    centre = {n: 0.5 * (f.low + f.high) if f.kind == "continuous" else 1.0 for n, f in FACTORS.items()}
    return torch.tensor([list({**centre, "is_chapel": 0.0, "time_of_day": 0.3, **values}.values())])


def ends(name: str, **values: float) -> tuple[Tensor, Tensor]:
    """Images and masks with one factor at its low and at its high end."""
    factor = FACTORS[name]
    return render(torch.cat([scene(**{**values, name: factor.low}), scene(**{**values, name: factor.high})]))


def test_the_world_is_as_large_as_it_says() -> None:
    assert 20 <= len(FACTORS) <= 24
    assert CLASSES == tuple("sky sun cloud hill grass tree wall roof dome chimney door window".split())
    factors = sample_factors(range(4000), "train")
    for column, factor in zip(factors.T, FACTORS.values(), strict=True):
        assert factor.low <= column.min() and column.max() <= factor.high
        mean = factor.probability if factor.kind == "flag" else 0.5 * (factor.low + factor.high)
        assert abs(column.mean() - mean) < 0.03 * max(factor.high - factor.low, 1e-6)
    correlation = torch.corrcoef(factors.T) - torch.eye(len(FACTORS))
    assert correlation.abs().max() < 0.08


def test_masks_are_exact_covers_and_images_are_in_range() -> None:
    factors = sample_factors(range(64), "test")
    images, masks = render(factors)
    assert images.shape == (64, 3, 64, 64) and masks.shape == (64, len(CLASSES), 64, 64)
    assert images.min() >= -1 and images.max() <= 1
    assert masks.min() >= 0 and (masks.sum(1) - 1).abs().max() < 1e-5
    chapel = factors[:, NAMES.index("is_chapel")] == 1
    share = dict(zip(CLASSES, masks.mean((2, 3)).T, strict=True))
    assert (share["dome"][~chapel] == 0).all() and (share["roof"][chapel] == 0).all()
    assert (share["dome"][chapel] > 0.02).all() and (share["roof"][~chapel] > 0.02).all()
    for name in ("sun", "door", "window"):
        absent = factors[:, NAMES.index(f"{name}_present")] == 0
        assert (share[name][absent] == 0).all() and (share[name][~absent] > 0).float().mean() > 0.95


def test_a_batch_is_exactly_its_images_at_any_time() -> None:
    together, alone = Cottages(count=40), Cottages(count=3, first=30)
    batch, single = together.read([31, 5, 30, 31]), alone.read([1])
    assert batch.ids == ["test-000031", "test-000005", "test-000030", "test-000031"] and single.ids == ["test-000031"]
    assert torch.equal(batch.extras["factors"][0], single.extras["factors"][0])
    for index in (0, 3):
        assert (batch.images[index] - single.images[0]).abs().max() <= 1e-6
        assert (batch.extras["masks"][index] - single.extras["masks"][0]).abs().max() <= 1e-6
    large = render(sample_factors(range(200), "test"))[0]  # more than are drawn at once
    assert (large[31] - single.images[0]).abs().max() <= 1e-6


def test_splits_and_seeds_never_share_an_image() -> None:
    clock = NAMES.index("time_of_day")
    for number, split in enumerate(("train", "validation", "test")):
        for seed in (0, 1, 2**40):
            bits = (sample_factors(range(0, 10**6, 997), split, seed)[:, clock] * 2**24).long()
            assert (bits % 4 == number).all()
    everything = torch.cat([sample_factors(range(500), split, seed) for split in ("train", "test") for seed in (0, 1)])
    assert len(everything.unique(dim=0)) == 2000
    assert torch.equal(sample_factors([7, 3], "train"), sample_factors(torch.tensor([7, 3]), "train", seed=0))


@pytest.mark.parametrize("name", NAMES)
def test_each_factor_shows_unless_its_object_is_absent(name: str) -> None:
    images, _ = ends(name)
    assert (images[0] - images[1]).abs().max() > 0.1
    for owner in OWNERS.get(name, []):
        assert owner in FLAGS
    if name in OWNERS:
        images, _ = ends(name, **dict.fromkeys(OWNERS[name], 0.0))
        assert torch.equal(images[0], images[1])


def test_a_chapel_has_no_chimney() -> None:
    images, masks = ends("chimney_present", is_chapel=1.0)
    assert torch.equal(images[0], images[1]) and masks[:, CLASSES.index("chimney")].max() == 0


@pytest.mark.parametrize("name", list(CLASS_OF))
def test_an_edit_changes_only_pixels_of_its_object(name: str) -> None:
    for chapel in (0.0, 1.0):
        images, masks = ends(name, **({} if name == "is_chapel" else {"is_chapel": chapel}))
        changed = (images[0] - images[1]).abs().amax(0) > 1e-5
        owned = masks[:, [CLASSES.index(c) for c in CLASS_OF[name]]].sum(dim=(0, 1)) > 0
        assert not (changed & ~owned).any()


def test_resolutions_agree() -> None:
    factors = sample_factors(range(16), "validation")
    pictures = {size: render(factors, size) for size in (32, 64, 128)}
    for size in (32, 64):
        for small, large, limit in zip(pictures[size], pictures[2 * size], (1.5e-3, 1.5e-3), strict=True):
            assert small.shape[-1] == size
            assert (torch.nn.functional.avg_pool2d(large, 2) - small).square().mean() < limit


def test_fingerprints_tell_worlds_apart() -> None:
    first = Cottages(count=8)
    assert first.fingerprint() == Cottages(count=8).fingerprint()
    others = [Cottages(count=9), Cottages(count=8, split="train"), Cottages(count=8, seed=1)]
    others += [Cottages(count=8, first=1), Cottages(count=8, resolution=32)]
    assert len({data.fingerprint() for data in [first, *others]}) == 6
    assert world_hash() == world_hash() and len(world_hash()) == 16


def test_wrong_arguments_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="data.split is 'tset'; choose one of train, validation, test"):
        sample_factors([0], "tset")
    with pytest.raises(ValueError, match="data.count is 0; give 1 or more"):
        Cottages(count=0)
    with pytest.raises(ValueError, match="23 columns; give the 24"):
        render(torch.zeros(1, 23))
    with pytest.raises(IndexError, match="data.count=4"):
        Cottages(count=4).read([4])
