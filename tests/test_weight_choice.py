"""Which weights are free, in which form they change, in which stages, what is kept, and what holds them back."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from parameters import slowly
from photos import case, dcgan
from torch import Tensor

from zstar.generators.base import AbstractGenerator
from zstar.generators.changes import weight_changes
from zstar.generators.parameters import choose_parameters, map_sizes
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.variables import part
from zstar.inversion import Inversion
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Objective
from zstar.projection.job import make_job
from zstar.projectors.base import project
from zstar.projectors.mean import Mean
from zstar.projectors.weights import Weights
from zstar.regularizers.base import AbstractRegularizer
from zstar.regularizers.feature_drift import FeatureDrift
from zstar.regularizers.locality import Locality
from zstar.regularizers.weight_norm import WeightNorm
from zstar.regularizers.weight_rank import WeightRank
from zstar.spaces.base import AbstractSpace
from zstar.spaces.w import W

FORMS: dict[str, dict[str, Any]] = {
    "full": {}, "rank": {"rank": 2}, "share": {"share": 0.25}, "half": {"half": True},
    "half rank": {"rank": 2, "half": True},
}  # fmt: skip


@pytest.fixture(params=["stylegan2", "module"])
def generator(request: pytest.FixtureRequest, tiny: StyleGAN2) -> AbstractGenerator:
    return tiny if request.param == "stylegan2" else dcgan()


@pytest.mark.parametrize("form", FORMS)
def test_a_change_in_any_form_is_each_image_s_own_and_draws_the_same_picture_again(
    form: str, generator: AbstractGenerator, tmp_path: Path
) -> None:
    problem, targets = case(generator)
    before, chain = generator.fingerprint(), [Mean(problem), Weights(problem, steps=9, lr=0.02, **FORMS[form])]
    found, start = project(problem, chain, targets), project(problem, chain[:1], targets)
    assert (found.loss < start.loss).all() and generator.fingerprint() == before
    assert found.evaluations.max() <= sum(projector.cost for projector in chain)
    alone = project(problem, chain, Targets({"image": targets.images[1:2]}, targets.ids[1:2]))
    torch.testing.assert_close(alone.loss, found.loss[1:2], rtol=2e-3, atol=0)
    found.save(tmp_path / "found.safetensors")
    back = Inversion.load(tmp_path / "found.safetensors")
    assert back.render(generator).equal(found.image)
    assert Objective(problem, targets)(back.v).total.equal(found.loss)
    kept = sum(value.numel() * value.element_size() for value in part(back.v, "weights").values())
    whole = 3 * 4 * sum(value.numel() for value in generator.free_weights(problem.space.name).values())
    assert kept == whole if form == "full" else kept < 0.75 * whole


def test_changes_of_every_form_add_up(tiny: StyleGAN2) -> None:
    name = "synthesis.b8.conv0.weight"
    shape = dict(tiny.named_parameters())[name].shape
    whole, left = torch.randn(2, *shape), torch.randn(2, shape[0], 3)
    right = torch.randn(2, 3, whole[0, 0].numel())
    places, values = torch.tensor([[1, 5], [0, 7]], dtype=torch.int32), torch.randn(2, 2)
    v = {f"weights/{name}{end}": value for end, value in
         {"": whole, "/left": left, "/right": right, "/places": places, "/values": values}.items()}  # fmt: skip
    expected = whole + torch.einsum("bor,brm->bom", left, right).view_as(whole)
    for image in range(2):
        for place, value in zip(places[image].tolist(), values[image], strict=True):
            expected[image].view(-1)[place] += value
    torch.testing.assert_close(weight_changes(v, tiny)[name], expected)
    with pytest.raises(ValueError, match=r"no parameter 'synthesis.b8.conv0.wieght'; did you mean"):
        tiny.render({"latent": torch.zeros(1, 16), "weights/synthesis.b8.conv0.wieght/left": left}, "w")


def test_weights_are_chosen_by_name_size_and_kind(tiny: StyleGAN2) -> None:
    def names(**asked: Any) -> set[str]:
        return {name.removeprefix("synthesis.") for name in choose_parameters(tiny, "w", **asked)}

    assert names(layers=["b16.conv1"], kinds=["convolution", "bias"]) == {
        "b16.conv1.weight", "b16.conv1.bias", "b16.conv1.affine.bias",
    }  # fmt: skip
    assert names(kinds=["torgb"], resolutions=[8]) == {
        "b8.torgb.weight", "b8.torgb.bias", "b8.torgb.affine.weight", "b8.torgb.affine.bias",
    }  # fmt: skip
    assert names(layers=["*.conv?.weight"]) == names(kinds=["convolution"]) and len(names(kinds=["convolution"])) == 5
    assert names(resolutions=[16]) == names(layers=["b16"]) and "b4.const" in names(resolutions=[4])
    assert all("affine" in name for name in names(kinds=["affine"]))
    halves = names(depth=[0, 0.5]), names(depth=[0.5, 1])
    assert halves[0] | halves[1] == names() and not halves[0] & halves[1] and "b4.const" in halves[0]
    assert "b16.torgb.weight" in halves[1] and names(depth=[0, 0.001]) == {"b4.const"}
    assert {name.split(".")[0] for name in choose_parameters(tiny, "z", kinds=["linear"])} == {"mapping"}
    module = dcgan()
    assert map_sizes(module, "z") == {
        "network.0.weight": 4, "network.0.bias": 4, "network.1.weight": 4, "network.1.bias": 4,
        "network.3.weight": 8, "network.3.bias": 8,
    }  # fmt: skip
    assert set(choose_parameters(module, "z", layers=["network.3"])) == {"network.3.weight", "network.3.bias"}


def test_only_what_is_free_changes_in_each_stage(tiny: StyleGAN2) -> None:
    problem, targets = case(tiny, count=2)
    stages = [{"layers": ["b4"]}, {"layers": ["b16"], "steps": 2, "lr": 0.01, "latent_lr": 0.1}]
    chain = Weights(problem, steps=4, stages=stages, lr=0.02)
    first = Weights(problem, steps=4, layers=["b4"], lr=0.02)
    found, start = (one(Objective(problem, targets)) for one in (chain, first))
    assert {name.split(".")[1] for name in part(found.v, "weights")} == {"b4", "b16"}
    assert all(found.v[name].equal(value) for name, value in part(start.v, "").items() if name.startswith("weights"))
    assert not found.latent.equal(start.latent) and (found.loss < start.loss).all()
    assert chain.cost == found.evaluations.max() == (4 + 2) + (2 + 2)
    assert chain.scaled(0.5).cost == (2 + 2) + (1 + 2)


def test_an_image_stops_where_it_is_good_enough(tiny: StyleGAN2) -> None:
    problem, targets = case(tiny, count=2)
    free = project(problem, [Mean(problem), Weights(problem, steps=12, lr=0.02)], targets)
    aim = free.history["total"][0, 8].item()
    found = project(problem, [Mean(problem), Weights(problem, steps=12, lr=0.02, until=aim)], targets)
    assert found.status[0] == "stopped" and found.loss[0].item() == pytest.approx(aim, rel=0.05)
    patient = Weights(problem, steps=12, lr=0.02, patience=2, min_delta=0.9)
    assert project(problem, [Mean(problem), patient], targets).status == ["stopped"] * 2


def regularizers(space: AbstractSpace) -> dict[str, AbstractRegularizer]:
    return {
        "weight_norm": WeightNorm(space, per_layer=True), "weight_norm 1": WeightNorm(space, p=1),
        "weight_rank": WeightRank(space), "feature_drift": FeatureDrift(space, samples=2),
        "feature_drift at the latent": FeatureDrift(space, samples=0, at_latent=True), "locality": Locality(space),
    }  # fmt: skip


REGULARIZERS = (
    "weight_norm", "weight_norm 1", "weight_rank", "feature_drift", "feature_drift at the latent", "locality",
)  # fmt: skip


@pytest.mark.parametrize("generator", [slowly("stylegan2", "stylegan2"), "module"], indirect=True)
@pytest.mark.parametrize("name", REGULARIZERS)
def test_regularizers_hold_the_weights_back_from_nothing_to_all(name: str, generator: AbstractGenerator) -> None:
    """λ = 0 has the lowest data term, λ → ∞ the result of the latent alone, and between it rises."""
    problem, targets = case(generator, count=2)
    regularizer = regularizers(problem.space)[name]
    start = project(problem, [Mean(problem)], targets)
    data: list[Tensor] = []
    middle = (2e3, 1e4) if name == "weight_norm" else (10.0, 30.0)
    for weight in (0.0, *middle, 1e7):
        regularizer.weight = weight
        held = replace(problem, regularizers={"held": regularizer})
        found = project(held, [Mean(held), Weights(held, steps=12, lr=0.01)], targets)
        data.append(Objective(problem, targets)(found.v).total)
        assert found.evaluations.tolist() == [1 + (1 + regularizer.syntheses) * 14] * 2
    torch.testing.assert_close(data[-1], start.loss)
    assert not any(value.any() for value in part(found.v, "weights").values())
    for lower, higher in zip(data, data[1:], strict=False):
        assert (lower <= higher * 1.005).all(), data
    assert (data[0] < 0.95 * data[-1]).all() and (data[0] < data[2]).all(), data


def test_a_norm_is_of_all_numbers_or_of_each_parameter_in_its_own_units(tiny: StyleGAN2) -> None:
    problem, _ = case(tiny)
    names = ["synthesis.b8.conv0.weight", "synthesis.b4.conv1.bias"]
    sizes = [dict(tiny.named_parameters())[name] for name in names]
    changes = [0.1 * torch.randn(2, *size.shape) for size in sizes]
    v = {"latent": torch.zeros(2, 16)} | {f"weights/{n}": x for n, x in zip(names, changes, strict=True)}
    units = [size.square().mean().sqrt() if size.any() else torch.ones(()) for size in sizes]
    whole = torch.cat([change.flatten(1) for change in changes], dim=1)
    for p in (1, 2):
        found = WeightNorm(problem.space, p=p)(v, torch.zeros(2, 3, 16, 16))
        torch.testing.assert_close(found, whole.abs().pow(p).mean(dim=1))
        parts = [(x / unit).flatten(1).abs().pow(p).mean(dim=1) for x, unit in zip(changes, units, strict=True)]
        found = WeightNorm(problem.space, p=p, per_layer=True)(v, torch.zeros(2, 3, 16, 16))
        torch.testing.assert_close(found, torch.stack(parts).mean(dim=0))


def lively(tiny: StyleGAN2) -> tuple[StyleGAN2, dict[str, Tensor]]:
    """A generator that noise counts for, and a change of it for each of two images."""
    generator = copy.deepcopy(tiny)
    for name, value in generator.named_parameters():
        if name.endswith("noise_strength"):
            value.data.fill_(0.5)
    name = "synthesis.b8.conv0.weight"
    return generator, {"latent": torch.randn(2, 16), f"weights/{name}": 0.3 * torch.randn(2, 16, 16, 3, 3)}


@pytest.mark.parametrize("noise", ["const", "none"])
def test_locality_looks_around_the_pivot_at_a_distance_in_units_of_the_space(tiny: StyleGAN2, noise: str) -> None:
    generator, v = lively(tiny)
    space, image = W(generator, 200), torch.zeros(2, 3, 16, 16)
    locality = Locality(space, distance=0.7, samples=2, noise=noise)
    values = []
    for sample in locality.samples.split(1):
        near = locality.beside(v["latent"], sample)
        step, way = near - v["latent"], sample - v["latent"]
        torch.testing.assert_close(step.square().mean(dim=1).sqrt(), torch.full((2,), 0.7 * space.spread))
        torch.testing.assert_close(torch.cosine_similarity(step, way), torch.ones(2))
        pair = (generator.render({**weights, "latent": near}, "w", noise) for weights in (v, {}))
        values.append((next(pair) - next(pair)).square().mean(dim=(1, 2, 3)))
    torch.testing.assert_close(locality(v, image), torch.stack(values).mean(dim=0))
    both = Locality(space, distance=0.7, samples=2, perceptual=2.0, network=Pixel(), noise=noise)
    torch.testing.assert_close(both(v, image), 3 * locality(v, image))


def test_feature_drift_compares_the_layers_that_it_names_where_it_says(tiny: StyleGAN2) -> None:
    generator, v = lively(tiny)
    space, image = W(generator, 200), torch.zeros(2, 3, 16, 16)
    drift = FeatureDrift(space, layers=["b16"], at_latent=True, samples=2)
    places = [v["latent"], *(sample.expand(2, -1) for sample in drift.samples)]
    found = []
    for place in places:
        sides = []
        for weights in (v, {}):
            with torch.no_grad(), generator.reading("b16") as seen:
                picture = generator.render({**weights, "latent": place}, "w")
            sides.append((seen["b16"].flatten(1), picture.flatten(1)))
        found += [(x - y).square().mean(dim=1) / y.square().mean(dim=1) for x, y in zip(*sides, strict=True)]
    torch.testing.assert_close(drift(v, image), torch.stack(found).mean(dim=0))
    assert len(found) == 6 and not FeatureDrift(space, samples=2)(v, image).isclose(drift(v, image)).any()


def test_what_has_no_effect_is_said(composed: Callable[..., Any]) -> None:
    words = [
        "generator=deep_image_prior", "generator.resolution=16", "generator.width=4", "generator.scales=2",
        "data.count=1", "data.resolution=16", "loss=[pixel]", "metric=[mse]", "regularizer=[locality]", "noise=none",
        "device=cpu",
    ]  # fmt: skip
    idle = make_job(composed("invert", *words, "projector=[mean,optimization]"))
    assert idle.notices == [
        "regularizer.locality: no projector frees weights, so it has no effect; remove it",
        "generator: its weights have learned nothing, and no projector fits them; choose projector=[untrained]",
    ]
    job = make_job(composed("invert", *words, "projector=[untrained]"))
    assert not job.notices and job.pipeline.problem.regularizers["locality"].noise == "none"


def test_what_can_not_be_is_one_sentence(tiny: StyleGAN2) -> None:
    problem, _ = case(tiny)
    for settings, sentence in (
        ({"layers": ["b33"]}, r"weights.layers: there is no 'b33' in G; choose one of"),
        ({"resolutions": [64]}, r"weights.resolutions: no layer of G makes maps of 64 pixels; choose from 4, 8, 16$"),
        (
            {"layers": ["b4.const"], "kinds": ["torgb"]},
            r"weights: no parameter of G is of layers=\['b4.const'\], kinds",
        ),
        ({"depth": [0.5, 0.2]}, r"weights.depth: \[0.5, 0.2\] are no two shares"),
        ({"rank": 0}, r"weights.rank: 0 makes no change of the chosen weights smaller; set it to 1 to 14, where it"),
        ({"rank": 15}, r"weights.rank: 15 makes no change"),
        ({"rank": 2, "kinds": ["bias"]}, r"weights.rank: 2 makes no change of the chosen weights smaller; set it to n"),
        ({"rank": 2, "share": 0.1}, r"weights.share: a product of matrices"),
        ({"share": 1.5}, r"weights.share: 1.5 is not possible"),
        ({"stages": [{"step": 3}]}, r"weights.stages.0: a stage has no 'step' of its own; did you mean 'steps'\?$"),
        ({"stages": [{"steps": "five"}]}, "weights.stages.0.steps: a stage expects int, not 'five'$"),
        ({"stages": [{"depth": 0.5}]}, r"weights.stages.0.depth: a stage expects Sequence\[float\] \| None, not 0.5$"),
        ({"stages": [{"layers": "b8"}]}, r"weights.stages.0.layers: a stage expects .*, not 'b8'$"),
        ({"stages": [{}, {"lr": -1}]}, r"weights.stages.1.lr: -1 is not possible"),
    ):
        with pytest.raises(ValueError, match=rf"^projector.{sentence}"):
            Weights(problem, **settings)
    with pytest.raises(ValueError, match=r"^regularizer.feature_drift: it compares nowhere"):
        FeatureDrift(problem.space, samples=0)
    with pytest.raises(ValueError, match=r"^regularizer.feature_drift.layers: G has no layer 'b61'; did you mean"):
        FeatureDrift(problem.space, layers=["b61"])
    with pytest.raises(ValueError, match=r"^regularizer.locality.network: "):
        Locality(problem.space, perceptual=1.0)
