"""Editing in Style: clusters, contributions, and what moves towards a reference."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from zstar.annotators.load import load_annotator
from zstar.directions.catalogue import Regions, inputs_of
from zstar.directions.clusters import nearest_centre, spherical_kmeans
from zstar.directions.library import load_directions, save_directions
from zstar.directions.local import Local
from zstar.directions.towards import Towards
from zstar.generators.base import AbstractGenerator
from zstar.generators.module import Module
from zstar.generators.stylegan2 import StyleGAN2
from zstar.inversion import Inversion
from zstar.spaces.style import Style
from zstar.spaces.w import W
from zstar.spaces.z import Z


@pytest.fixture(scope="module")
def shipped() -> AbstractGenerator:
    return StyleGAN2(checkpoint="cottages64")


@pytest.fixture(scope="module")
def roof(shipped: AbstractGenerator) -> Towards:
    return Local(["roof+dome"], samples=64, reference_seed=3).find(W(shipped))["local_roof+dome"]


def test_towards_a_reference() -> None:
    reference, mask = torch.randn(5), torch.tensor([1.0, 1, 0.5, 0, 0])
    direction, latent = Towards("style", reference, mask), torch.randn(3, 5)
    moved = direction.move(latent, torch.tensor([0.0, 0.5, 1.0]))
    assert torch.equal(moved[0], latent[0]) and torch.equal(moved[:, 3:], latent[:, 3:])
    torch.testing.assert_close(moved[2, :2], reference[:2])
    torch.testing.assert_close(moved[1, :2], (latent[1, :2] + reference[:2]) / 2)
    torch.testing.assert_close(moved[2, 2], (latent[2, 2] + reference[2]) / 2)
    assert (direction.label.low, direction.label.high) == (0, 1)
    assert direction.label.strengths(5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    tensors, settings = direction.pack()
    with pytest.raises(ValueError, match="two tensors, reference and mask, not mask"):
        Towards.unpack("style", direction.label, {"mask": tensors["mask"]}, settings)
    with pytest.raises(ValueError, match=r"mask: is \(4,\) for a reference of \(5,\)"):
        Towards("style", reference, mask[:4])
    with pytest.raises(ValueError, match="one number in"):
        Towards("style", reference, mask * 3)


def test_spherical_kmeans_finds_planted_directions() -> None:
    rng = torch.Generator().manual_seed(0)
    planted = F.normalize(torch.randn(5, 12, generator=rng), dim=1)
    lengths = torch.rand(1000, 1, generator=rng) * 9 + 0.1  # which must not count
    points = (planted[torch.arange(1000) % 5] + 0.05 * torch.randn(1000, 12, generator=rng)) * lengths
    centres = spherical_kmeans(points, 5, seed=1)
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(5))
    best = (planted @ centres.T).max(dim=1)
    assert best.values.min() > 0.998 and best.indices.unique().numel() == 5
    assert torch.equal(spherical_kmeans(points, 5, seed=1), centres)
    maps = planted.T.reshape(1, 12, 1, 5)
    assert torch.equal(nearest_centre(maps, centres)[0, 0], best.indices)
    repeated = spherical_kmeans(torch.ones(6, 3), 4)  # fewer directions than centres
    assert repeated.isfinite().all() and torch.allclose(repeated.norm(dim=1), torch.ones(4))
    with pytest.raises(ValueError, match="clusters: 7 are more than the 6 vectors"):
        spherical_kmeans(torch.ones(6, 3), 7)


def test_contributions_against_a_plain_computation() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, 8, 8, generator=rng) + 3
    label = torch.randint(0, 3, (6, 8, 8), generator=rng)
    x[:, 2] = torch.where(label == 1, 5 * torch.randn(6, 8, 8, generator=rng), torch.zeros(()))
    u = F.one_hot(label, 3).movedim(-1, 1).float()
    regions = Regions()
    for part in (slice(0, 4), slice(4, 6)):
        regions.add({"layer": x[part]}, u[part])
    standard = (x - x.mean(dim=(0, 2, 3), keepdim=True)) / x.std(dim=(0, 2, 3), keepdim=True)
    square = standard.square().movedim(1, -1)
    for chosen in ([0], [1], [0, 2]):
        inside = sum(label == region for region in chosen).bool()
        expected = square[inside].mean(dim=0) / (square[inside].mean(dim=0) + square[~inside].mean(dim=0))
        torch.testing.assert_close(regions.shares("layer", chosen), expected, atol=1e-4, rtol=1e-4)
    assert regions.shares("layer", [1])[2] > 0.97 and (regions.shares("layer", [1])[:2] - 0.5).abs().max() < 0.15
    coarse = Regions()
    coarse.add({"layer": F.avg_pool2d(x, 2)}, u)  # masks finer than the map
    assert coarse.shares("layer", [1])[2] > 0.6


def test_what_goes_into_a_layer_is_what_its_style_scales(tiny: AbstractGenerator) -> None:
    latent = tiny.sample(2, torch.Generator().manual_seed(0), space="style")
    with inputs_of(tiny, list(tiny.style_sizes)) as seen, torch.no_grad():
        tiny.synthesize(latent, "style")
    assert {name: x.shape[1] for name, x in seen.items()} == tiny.style_sizes
    torch.testing.assert_close(seen["b4.conv1"][0], tiny.synthesis.b4.const)


@pytest.mark.slow
def test_the_chosen_channels_keep_the_budget(shipped: AbstractGenerator, roof: Towards) -> None:
    assert roof.space == "style" and set(roof.mask.unique().tolist()) == {0, 1}
    scores = roof.label.scores
    assert scores["channels"] == roof.mask.sum() and scores["contribution"] > 0.55
    assert scores["channels"] * (1 - scores["contribution"]) <= 100.01
    small = Local(["roof+dome"], samples=64, budget=10).find(W(shipped))["local_roof+dome"]
    assert 0 < small.mask.sum() < roof.mask.sum() and (small.mask <= roof.mask).all()
    assert small.label.scores["contribution"] > scores["contribution"]
    strict = Local(["roof+dome"], samples=64, least=0.8).find(W(shipped))["local_roof+dome"]
    assert 0 < strict.mask.sum() < roof.mask.sum()


@torch.no_grad()
def test_the_roof_changes_more_than_the_rest(shipped: AbstractGenerator, roof: Towards) -> None:
    network, vocabulary = load_annotator("annotator64")
    latent = shipped.sample(16, torch.Generator().manual_seed(8), space="style")
    before = shipped.synthesize(latent, "style")
    after = shipped.synthesize(roof.move(latent, torch.ones(16)), "style")
    parts = torch.tensor([vocabulary.classes.index(name) for name in ("roof", "dome")])
    inside = sum(torch.isin(network(images).logits.argmax(dim=1), parts) for images in (before, after)).bool()
    change = (after - before).abs().mean(dim=1)
    assert change[inside].mean() > 2 * change[~inside].mean()


def test_clusters_need_no_annotator(tiny: AbstractGenerator, tmp_path: Path) -> None:
    found = Local(None, annotator=None, layer="b8", clusters=3, samples=24, least=0.5).find(Style(tiny))
    assert found and set(found) <= {"local_0", "local_1", "local_2"}
    some = Local([1, "0+2"], annotator=None, layer="b8", clusters=3, samples=24, least=0.5).find(W(tiny))
    assert list(some) == ["local_1", "local_0+2"]
    save_directions(tmp_path / "local.safetensors", found, tiny)
    read = load_directions(tmp_path / "local.safetensors", tiny)
    latent, alpha = tiny.sample(2, torch.Generator().manual_seed(0), space="style"), torch.tensor([0.3, 1.0])
    assert all(torch.equal(read[name].move(latent, alpha), found[name].move(latent, alpha)) for name in found)


def test_a_real_image_as_the_reference(tiny: AbstractGenerator, tmp_path: Path) -> None:
    latent = tiny.sample(2, torch.Generator().manual_seed(4), space="w")
    zero = torch.zeros(2)
    saved = Inversion(["a.png", "b.png"], "w", {"latent": latent}, None, zero, zero.long(), zero, ["done"] * 2)
    saved.save(tmp_path / "latents.safetensors")

    def find(**settings: str) -> torch.Tensor:
        finder = Local(None, annotator=None, layer="b8", clusters=2, samples=8, least=0.5, **settings)
        return next(iter(finder.find(W(tiny)).values())).reference

    style = tiny.lift(latent, "w", "style")
    assert torch.allclose(find(inversion=str(tmp_path)), style[0])
    assert torch.allclose(find(inversion=str(tmp_path), reference="b.png"), style[1])
    with pytest.raises(ValueError, match=r"direction\.local\.reference: there is no 'c.png' in .*; choose from a.png"):
        find(inversion=str(tmp_path), reference="c.png")
    with pytest.raises(ValueError, match=r"direction\.local\.reference: 'a.png' is an image of no run"):
        find(reference="a.png")
    with pytest.raises(ValueError, match=r"direction\.local\.inversion: there is no"):
        find(inversion=str(tmp_path / "none"))


def test_what_can_not_be_moved_locally_is_said(tiny: AbstractGenerator, shipped: AbstractGenerator) -> None:
    flat = Module(torch.nn.Sequential(torch.nn.Linear(4, 48), torch.nn.Unflatten(1, (3, 4, 4))), [4])
    grey = StyleGAN2(16, channels=1, z_dim=8, w_dim=8, num_mapping_layers=1, channel_max=8)
    cases: list[tuple[Callable, str]] = [
        (lambda: Local().find(Z(flat)), "direction.local: Module has no styles to transfer"),
        (lambda: Local(["attic"], samples=2).find(W(shipped)), "regions: there is no 'attic'; choose from sky, sun"),
        (lambda: Local(["roof"], samples=2, least=1.0).find(W(shipped)), "no channel does more than 1 of its work"),
        (lambda: Local().find(W(grey, 10)), "annotator64 reads colour images .* makes 1×16×16; set it to null"),
        (lambda: Local([], samples=2), "regions: the list is empty"),
        (lambda: Local(annotator=None, layer="b5").find(W(tiny)), "StyleGAN2 has no layer 'b5'"),
        (lambda: Local([9], annotator=None, layer="b8").find(W(tiny)), "there is no '9'; choose from 0, 1"),
    ]
    for attempt, reason in cases:
        with pytest.raises(ValueError, match=reason) as error:
            attempt()
        assert "\n" not in str(error.value)
