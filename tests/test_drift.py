"""What an image's own weights do to all other images, measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from photos import case, dcgan
from torch import Tensor, nn

from zstar.directions.linear import Linear
from zstar.editability.base import Traversal
from zstar.editability.edit_drift import EditDrift
from zstar.generators.base import AbstractGenerator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.metrics.drift import Drift
from zstar.metrics.psnr import PSNR
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.stats.streams import stream


class Maps(nn.Module):
    """A network that no file is needed for."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.first(images).relu()]


@pytest.fixture(params=["stylegan2", "module"])
def generator(request: pytest.FixtureRequest, tiny: StyleGAN2) -> AbstractGenerator:
    return tiny if request.param == "stylegan2" else dcgan()


def changed(generator: AbstractGenerator, sizes: list[float]) -> dict[str, Tensor]:
    """A change of other size for each image, in one direction."""
    space = next(iter(generator.spaces))
    rng, v = torch.Generator().manual_seed(0), {"latent": torch.zeros(len(sizes), *generator.shape(space))}
    for name, value in generator.free_weights(space).items():
        change = torch.randn(value.shape, generator=rng)
        v[f"weights/{name}"] = torch.stack([size * change for size in sizes])
    return v


def test_samples_are_compared_pair_by_pair(generator: AbstractGenerator) -> None:
    v, space = changed(generator, [0.0, 0.02, 0.1]), next(iter(generator.spaces))
    found = Drift(samples=40)(generator, v, space, "const")
    assert found[0] == 100 and (found[:-1] > found[1:]).all()
    rng = stream("samples of drift", 0)
    latents = [generator.sample(size, rng, space=generator.drawn) for size in (32, 8)]
    errors = []
    with torch.no_grad():
        for z in latents:
            own = {name: value[2:].expand(len(z), *value.shape[1:]) for name, value in v.items() if name != "latent"}
            pair = generator.render({"latent": z, **own}, generator.drawn), generator.synthesize(z, generator.drawn)
            errors.append(10 ** (-PSNR()(*pair) / 10))
    assert found[2].item() == pytest.approx(-10 * torch.cat(errors).mean().log10().item(), abs=1e-3)
    assert Drift(samples=40)(generator, {n: x[2:] for n, x in v.items()}, space, "const").item() == pytest.approx(
        found[2].item(), abs=1e-3
    )


@pytest.mark.parametrize("measure", ["perceptual", "kid"])
def test_larger_changes_are_larger_damage(measure: Any, tiny: StyleGAN2) -> None:
    torch.manual_seed(0)
    metric = Drift(measure, samples=48, network=Maps())
    found = metric(tiny, changed(tiny, [0.0, 0.05, 0.3]), "z", "const")
    assert found[0].item() == pytest.approx(0, abs=1e-5) and (found[:-1] < found[1:]).all()
    assert (metric.better, metric.unit, metric.network) == ("lower", "", "Maps")


def test_without_weights_there_is_no_damage_to_measure(tiny: StyleGAN2) -> None:
    assert Drift()(tiny, {"latent": torch.zeros(1, 16)}, "z", "const") is None
    with pytest.raises(ValueError, match=r"^metric.drift.samples: 2 is not possible"):
        Drift(samples=2)


def test_a_run_measures_it_of_methods_that_change_weights(composed: Callable[..., Any], tmp_path: Path) -> None:
    words = [
        "space=w", "loss=[pixel]", "metric=[mse,drift]", "metric.drift.samples=4", "data.count=2", "steps=2",
        "logger=none", "device=cpu", f"output={tmp_path}",
    ]  # fmt: skip
    tuned = run(composed("invert", *words, "projector=[mean,weights]", "projector.weights.steps=2"))
    assert 20 < tuned["summary"]["drift"]["mean"] < 90
    plain = run(composed("invert", *words, "projector=[mean,optimization]"))
    assert "drift" not in plain["summary"] and "weights of each image's own" in str(plain)


def test_other_reconstructions_can_take_the_place_of_samples(tiny: StyleGAN2, tmp_path: Path) -> None:
    problem, targets = case(tiny)
    others = project(problem, [Mean(problem), Optimization(problem, steps=2)], targets)
    others.save(tmp_path / "latents.safetensors")
    v = changed(tiny, [0.05])
    found = Drift(inversion=str(tmp_path))(tiny, v, "z", "const")
    own = {name: value.expand(3, *value.shape[1:]) for name, value in v.items() if name != "latent"}
    errors = 10 ** (-PSNR()(tiny.render({"latent": others.latent, **own}, "w"), others.image) / 10)
    assert found.item() == pytest.approx(-10 * errors.mean().log10().item(), abs=1e-3)
    others.v["latent"] = torch.zeros(3, 5)
    others.save(tmp_path / "wrong.safetensors")
    with pytest.raises(ValueError, match=r"^metric.drift.inversion: .*wrong.safetensors holds no latents of this gen"):
        Drift(inversion=str(tmp_path / "wrong.safetensors"))(tiny, v, "z", "const")


def test_an_edit_that_a_change_of_weights_has_changed(tiny: StyleGAN2) -> None:
    direction, alphas = Linear("w", torch.randn(16)), torch.tensor([-1.0, 0.0, 1.0])
    v = changed(tiny, [0.0, 0.02, 0.3])
    v["latent"] = torch.randn(3, 16)
    found = EditDrift()(Traversal("x", direction, tiny, v, "w", alphas))["edit_drift/mean"]
    assert found[0] == pytest.approx(0, abs=1e-5) and found[0] < found[1] < found[2]
    assert EditDrift()(Traversal("x", direction, tiny, {"latent": v["latent"]}, "w", alphas)) == {}


def test_targets_of_the_problem_are_no_part_of_it(tiny: StyleGAN2) -> None:
    """The samples are the same whatever the photo is."""
    problem, _ = case(tiny)
    v = changed(tiny, [0.05, 0.05])
    found = Drift(samples=8)(tiny, v, problem.space.name, "const")
    assert found[0] == found[1]
