"""Feature maps of each image's own: as changes beside the latent, and as a space with the codes of the layers above."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from photos import case, dcgan

from zstar.directions.apply import apply
from zstar.directions.linear import Linear
from zstar.generators.base import AbstractGenerator
from zstar.generators.pixels import Pixels
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.variables import part
from zstar.inversion import Inversion
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.features import Features
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.projectors.saved import Saved
from zstar.regularizers.feature_norm import FeatureNorm
from zstar.spaces.feature import Feature
from zstar.spaces.pixels import Pixels as PixelSpace
from zstar.spaces.w import W
from zstar.spaces.z import Z


@pytest.fixture(params=["stylegan2", "module"])
def generator(request: pytest.FixtureRequest, tiny: StyleGAN2) -> AbstractGenerator:
    return tiny if request.param == "stylegan2" else dcgan()


@pytest.mark.parametrize("form", ["add", "multiply", "both"])
def test_maps_of_each_image_give_what_no_latent_has(form: Any, generator: AbstractGenerator, tmp_path: Path) -> None:
    problem, targets = case(generator)
    layer, before = generator.layers[-1], generator.fingerprint()
    chain = [Mean(problem), Features(problem, steps=8, lr=0.1, layers=[layer], form=form)]
    found, start = project(problem, chain, targets), project(problem, chain[:1], targets)
    assert (found.loss < start.loss).all() and found.latent.equal(start.latent) and generator.fingerprint() == before
    kinds = {"add": {"features"}, "multiply": {"factors"}, "both": {"features", "factors"}}[form]
    assert set(found.v) == {"latent", *(f"{kind}/{layer}" for kind in kinds)}
    alone = project(problem, chain, Targets({"image": targets.images[1:2]}, targets.ids[1:2]))
    torch.testing.assert_close(alone.loss, found.loss[1:2], rtol=1e-3, atol=0)
    found.save(tmp_path / "found.safetensors")
    assert Inversion.load(tmp_path / "found.safetensors").render(generator).equal(found.image)
    with generator.reading(layer) as plain:
        generator.synthesize(found.latent, problem.space.name)
    with generator.editing({layer: lambda _: plain[layer] * (1 + found.v.get(f"factors/{layer}", 0))
                                    + found.v.get(f"features/{layer}", 0)}):  # fmt: skip
        torch.testing.assert_close(generator.synthesize(found.latent, problem.space.name), found.image)


def test_the_price_of_changes_holds_them_back(generator: AbstractGenerator) -> None:
    problem, targets = case(generator, count=2)
    start = project(problem, [Mean(problem)], targets)
    data = []
    for weight in (0.0, 10.0, 1e7):
        held = replace(problem, regularizers={"held": FeatureNorm(problem.space, weight)})
        found = project(held, [Mean(held), Features(held, steps=10, lr=0.02, form="both")], targets)
        data.append(Objective(problem, targets)(found.v).total)
    torch.testing.assert_close(data[-1], start.loss)
    assert (data[0] < data[1]).all() and (data[1] < data[2]).all(), data


def test_changes_of_maps_that_can_not_be_are_one_sentence(tiny: StyleGAN2) -> None:
    problem, _ = case(tiny)
    for settings, sentence in (
        ({"layers": ["b61"]}, "features.layers: G has no layer 'b61'; did you mean 'b16'"),
        ({"lr": 0}, "features.lr: 0"),
    ):
        with pytest.raises(ValueError, match=f"^projector.{sentence}"):
            Features(problem, **settings)
    pixels = Problem(PixelSpace(Pixels(8), 10), problem.losses, {}, Adam())
    with pytest.raises(ValueError, match="^projector.features: Pixels offers no feature layers; name some"):
        Features(pixels)
    with pytest.raises(ValueError, match="^space.layer: G has no layer 'b15'; did you mean 'b16'"):
        Feature(tiny, 10, layer="b15")
    with pytest.raises(ValueError, match="^space.layer: no layer of G is above 'b16'"):
        Feature(tiny, 10, layer="b16")
    with pytest.raises(ValueError, match="^space.feature: Module has no style codes"):
        Feature(dcgan(), 10)


def in_features(generator: StyleGAN2) -> tuple[Problem, Targets]:
    problem, targets = case(generator)
    return replace(problem, space=Feature(generator, 50, layer="b8"), optimizer=Adam(lr=0.1)), targets


def test_a_point_is_a_map_and_the_codes_above_it(tiny: StyleGAN2) -> None:
    problem, targets = in_features(tiny)
    start = project(problem, [Mean(problem)], targets)
    found = project(problem, [Mean(problem), Optimization(problem, steps=10)], targets)
    assert (found.loss < start.loss).all() and found.v["features/b8"].any() and found.space == "w_plus"
    rows = problem.space.fixed_rows  # b4.conv1, b8.conv0, b8.conv1; the code behind them is b16.conv0's
    assert rows == 3 and found.latent[:, :rows].equal(start.latent[:, :rows])
    assert not found.latent[:, rows:].isclose(start.latent[:, rows:]).any(dim=2).all()
    with tiny.reading("b8") as seen:  # the map that the picture is made of is the latent's own and what was added
        tiny.render(found.v, "w_plus")
    with tiny.reading("b8") as own:
        tiny.synthesize(found.latent, "w_plus")
    torch.testing.assert_close(seen["b8"], own["b8"] + found.v["features/b8"])
    problem = replace(problem, optimizer=Adam(lr=0.1, ramp_up=0, ramp_down=0))
    step = project(problem, [Mean(problem), Optimization(problem, steps=1, keep_best=False)], targets)
    moved = step.v["features/b8"].abs().max().item() / (step.latent - start.latent).abs().max().item()
    assert moved == pytest.approx(problem.space.map_spread, rel=0.01)


def test_the_statistics_of_a_map_are_those_of_the_prior(tiny: StyleGAN2) -> None:
    space = Feature(tiny, 200, layer="b8")
    with torch.no_grad(), tiny.reading("b8") as seen:
        tiny.synthesize(tiny.sample(2000, torch.Generator().manual_seed(3), space="w"), "w")
    assert space.maps == {"b8": tuple(seen["b8"].shape[1:])}
    spread = (seen["b8"] - seen["b8"].mean(dim=0)).square().mean().sqrt().item()
    assert space.map_spread == pytest.approx(spread, rel=0.1)
    assert (space.map_mean - seen["b8"].mean(dim=0)).square().mean().sqrt().item() < 0.15 * spread


def test_a_run_in_a_poorer_space_is_lifted(tiny: StyleGAN2, tmp_path: Path) -> None:
    problem, targets = in_features(tiny)
    plain, run = replace(problem, space=W(tiny, 50)), str(tmp_path / "latents.safetensors")
    project(plain, [Mean(plain)], targets).save(run)
    lifted = project(problem, [Saved(problem, run)], targets)
    assert lifted.v["features/b8"].shape[1:] == problem.space.maps["b8"] and not lifted.v["features/b8"].any()
    found = project(problem, [Saved(problem, run), Optimization(problem, steps=5)], targets)
    assert (found.loss < lifted.loss).all() and found.v["features/b8"].any()


def test_a_direction_moves_the_map_by_what_it_moves_the_latent_s_own(tiny: StyleGAN2) -> None:
    problem, targets = in_features(tiny)
    found = project(problem, [Mean(problem), Optimization(problem, steps=5)], targets)
    direction, alpha = Linear("w_plus", torch.randn(tiny.num_ws, 16)), torch.full((3,), 0.5)
    moved, space = apply(tiny, found.v, found.space, [(direction, alpha)])
    maps = []
    for v in (found.v, moved, {"latent": found.latent}, {"latent": moved["latent"]}):
        with torch.no_grad(), tiny.reading("b8") as seen:
            tiny.render(v, space)
        maps.append(seen["b8"])
    torch.testing.assert_close(maps[1] - maps[0], maps[3] - maps[2], rtol=1e-4, atol=1e-5)


def test_a_run_in_the_space_is_called_by_its_name(composed: Callable[..., Any], tmp_path: Path) -> None:
    words = [
        "space=feature", "projector=[mean,optimization]", "steps=2", "loss=[pixel]", "metric=[mse]", "data.count=2",
        "space.prior_samples=20", "logger=none", "device=cpu", f"output={tmp_path}",
    ]  # fmt: skip
    result = run(composed("invert", *words))
    assert result["space"] == "feature" and Path(result["folder"]).name.startswith("feature_")
    kept = Inversion.load(Path(result["folder"]) / "latents.safetensors")
    assert kept.space == "w_plus" and "features/b16" in kept.v


def test_features_in_z_of_a_module(tmp_path: Path) -> None:
    generator = dcgan()
    problem, targets = case(generator, count=2)
    assert isinstance(problem.space, Z)
    found = project(problem, [Mean(problem), Features(problem, steps=4, latent_lr=0.05, lr=0.05)], targets)
    assert part(found.v, "factors").keys() == {"2"} and not found.latent.equal(problem.space.start(2))
