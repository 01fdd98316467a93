"""Agreement of units with classes: counts, levels that are searched or evenly spaced, images apart and together."""

import pytest
import torch

from zstar.dissection.agreement import Counts, Tally


def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Maps of five units, labels of three classes of two kinds, of which some pixels are none, and levels."""
    rng = torch.Generator().manual_seed(3)
    maps = torch.randn(4, 5, 6, 6, generator=rng)
    labels = torch.randint(-1, 3, (4, 12, 12), generator=rng)
    labels[2:][labels[2:] == 2] = 0  # two images have nothing of the second kind
    ends = torch.tensor([[-1.0, 1.5]]) + torch.rand(5, 1, generator=rng)
    return maps, labels, ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * torch.linspace(0, 1, 9)


KINDS = torch.tensor([0, 0, 1])


def counted(
    maps: torch.Tensor, labels: torch.Tensor, levels: torch.Tensor, even: bool = False, split: int = 4
) -> Counts:
    tally = Tally(levels, KINDS, even=even)
    for one, other in zip(maps.split(split), labels.split(split), strict=True):
        tally.add(one.clone(), other)
    return tally.counts()


def plain(maps: torch.Tensor, labels: torch.Tensor, levels: torch.Tensor) -> Counts:
    """As it is defined, pixel by pixel."""
    large = torch.nn.functional.interpolate(maps, (12, 12), mode="bilinear", align_corners=False)
    masks = large[:, :, None] > levels[..., None, None]  # [n, u, t, h, w]
    classes = torch.stack([labels == k for k in range(3)], dim=1)
    has = torch.stack([classes[:, KINDS == c].flatten(1).any(dim=1) for c in range(2)], dim=1)
    shared = torch.einsum("nuthw,nkhw->tku", masks.double(), classes.double())
    active = torch.einsum("nuthw,nc->tcu", masks.double(), has.double())
    return Counts(shared.long(), active.long(), classes.sum(dim=(0, 2, 3)), has.sum(dim=0) * 144)


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("split", [1, 3, 4])
def test_counts_are_those_of_the_definition(even: bool, split: int) -> None:
    maps, labels, levels = drawn()
    found, wanted = counted(maps, labels, levels, even, split), plain(maps, labels, levels)
    for name in ("shared", "active", "labelled", "total"):
        assert torch.equal(getattr(found, name), getattr(wanted, name)), name
    assert found.total[1] == 2 * 144 < found.total[0]


def test_one_level_is_a_ladder_of_one() -> None:
    maps, labels, levels = drawn()
    whole = counted(maps, labels, levels)
    for step in (0, 4, 8):
        one = counted(maps, labels, levels[:, step : step + 1])
        assert torch.equal(one.shared[0], whole.shared[step]) and torch.equal(one.active[0], whole.active[step])


def test_counts_of_parts_add_up() -> None:
    maps, labels, levels = drawn()
    both = counted(maps[:2], labels[:2], levels) + counted(maps[2:], labels[2:], levels)
    assert torch.equal(both.iou(KINDS), counted(maps, labels, levels).iou(KINDS))


def test_variants_are_counted_beside_each_other() -> None:
    maps, labels, levels = drawn()
    tally = Tally(levels, KINDS, 2)
    tally.add(maps, labels, labels.roll(1, 0))
    assert torch.equal(tally.counts(0).shared, counted(maps, labels, levels).shared)
    assert torch.equal(tally.counts(1).shared, counted(maps, labels.roll(1, 0), levels).shared)


def test_a_unit_that_is_the_class_agrees_with_it_alone() -> None:
    labels = torch.zeros(2, 8, 8, dtype=torch.int64)
    labels[:, 2:5, 1:7] = 1
    maps = torch.stack([(labels == 1).float(), torch.ones(2, 8, 8), torch.zeros(2, 8, 8)], dim=1)
    found = counted(maps, labels, torch.full((3, 1), 0.5))
    share = 18 / 64
    expected = torch.tensor([[0.0, 1 - share, 0.0], [1.0, share, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(found.iou(KINDS)[0], expected)
    iqr = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(found.iqr(KINDS)[0], iqr)


def test_a_dead_unit_has_even_levels_too() -> None:
    levels = torch.zeros(1, 9)
    found = counted(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64), levels, even=True)
    assert found.shared.sum() == 0
