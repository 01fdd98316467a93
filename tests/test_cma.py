"""Gradient-free search finds planted minima, treats each image as if it were alone, and counts what it costs."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from zstar.callbacks import Step
from zstar.generators.pixels import Pixels as Identity
from zstar.generators.stylegan2 import StyleGAN2
from zstar.losses.base import AbstractLoss
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Problem
from zstar.optimizers.adam import Adam
from zstar.projectors.base import AbstractProjector, project
from zstar.projectors.basin_cma import BasinCMA
from zstar.projectors.best_of import BestOf
from zstar.projectors.cma import CMA
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.spaces.pixels import Pixels
from zstar.spaces.w import W
from zstar.spaces.z import Z

PROJECTORS = [(CMA, {"generations": 6}), (BasinCMA, {"generations": 3, "steps": 4})]
BOTH = pytest.mark.parametrize(("make", "settings"), PROJECTORS, ids=["cma", "basin_cma"])


class Rugged(AbstractLoss):
    """A bowl under waves that are higher than it: only who goes down into the troughs sees that they get lower."""

    def features(self, image: Tensor) -> list[Tensor]:
        return [image]

    def compare(self, features: list[Tensor], target: list[Tensor], weights: Tensor | None = None) -> Tensor:
        error = features[0] - target[0]
        return (error.square() + 1 - (12 * torch.pi * error).cos()).flatten(1).mean(dim=1)


def planted(loss: AbstractLoss, count: int = 3, seed: int = 0) -> tuple[Problem, Targets]:
    """Images of nine pixels, whose pixels are the variables: the minimum is the image, with value 0."""
    space = Pixels(Identity(resolution=3, channels=1), prior_samples=2000)
    images = space.sample(count, torch.Generator().manual_seed(4))
    problem = Problem(space, {"planted": loss}, {}, Adam(lr=0.02, ramp_up=0.0, ramp_down=0.0), seed)
    return problem, Targets({"image": images}, [f"image-{i}" for i in range(count)])


def generated(generator: StyleGAN2, noise: str = "const", seed: int = 0) -> tuple[Problem, Targets]:
    """Images that the generator can make."""
    w = generator.sample(3, torch.Generator().manual_seed(5), space="w")
    targets = Targets({"image": generator.synthesize(w, "w"), "mask": torch.ones(3, 1, 16, 16)}, ["a", "b", "c"])
    return Problem(W(generator, prior_samples=500), {"pixel": Pixel()}, {}, Adam(lr=0.1), seed, noise), targets


def test_cma_finds_the_minimum_of_a_bowl() -> None:
    problem, targets = planted(Pixel(), 2)
    start = project(problem, [Mean(problem)], targets)
    found = project(problem, [CMA(problem, generations=80)], targets)
    assert (found.loss < 1e-4).all() and (start.loss > 0.1).all() and found.status == ["done"] * 2
    torch.testing.assert_close(found.latent, targets.images, atol=0.03, rtol=0)
    by_variances = project(problem, [CMA(problem, generations=80, diagonal=True)], targets)
    assert (by_variances.loss < 1e-4).all() and not by_variances.latent.equal(found.latent)


@pytest.mark.slow
def test_basin_cma_sees_the_floors_of_basins() -> None:
    """With as many evaluations each, and far better than what a single descent or plain CMA-ES ends in."""
    problem, targets = planted(Rugged(), 2)
    shape = {"generations": 8, "steps": 9, "population": 8}
    chains = {
        "basin": BasinCMA(problem, **shape),
        "injecting": BasinCMA(problem, **shape, inject=True),
        "cma": CMA(problem, generations=80, population=8),
        "descent": Optimization(problem, steps=640),
    }
    found = {name: project(problem, [projector], targets) for name, projector in chains.items()}
    assert {tuple(each.evaluations.tolist()) for each in found.values()} == {(642,) * 2}
    loss = {name: each.loss.mean().item() for name, each in found.items()}
    assert max(loss["basin"], loss["injecting"]) < 0.6 * min(loss["cma"], loss["descent"]), loss


@BOTH
def test_a_batch_is_exactly_its_images(make: type[AbstractProjector], settings: Any, tiny: StyleGAN2) -> None:
    problem, targets = generated(tiny)
    together = project(problem, [make(problem, **settings)], targets)
    backwards = Targets({name: value.flip(0) for name, value in targets.named.items()}, targets.ids[::-1])
    torch.testing.assert_close(project(problem, [make(problem, **settings)], backwards).latent.flip(0), together.latent)
    for index, name in enumerate(targets.ids):
        rows = slice(index, index + 1)
        alone = project(problem, [make(problem, **settings)], Targets({"image": targets.images[rows]}, [name]))
        torch.testing.assert_close(alone.latent, together.latent[rows], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone.loss, together.loss[rows], atol=1e-6, rtol=1e-4)
        assert alone.evaluations == together.evaluations[index]


@BOTH
def test_chunks_change_nothing(make: type[AbstractProjector], settings: Any, tiny: StyleGAN2) -> None:
    problem, targets = generated(tiny)
    whole, parts = (project(problem, [make(problem, **settings, chunk=chunk)], targets) for chunk in (None, 5))
    torch.testing.assert_close(parts.latent, whole.latent, atol=1e-5, rtol=1e-4)
    assert parts.evaluations.equal(whole.evaluations)


@BOTH
def test_the_seed_is_all_that_is_random(make: type[AbstractProjector], settings: Any, tiny: StyleGAN2) -> None:
    one, again, other = (generated(tiny, seed=seed) for seed in (0, 0, 1))
    project(one[0], [make(one[0], **settings)], one[1])  # what a first import may draw is over
    state, torch_state = np.random.get_state(), torch.get_rng_state()
    first, second, third = (project(p, [make(p, **settings)], t).latent for p, t in (one, again, other))
    assert first.equal(second) and not torch.allclose(first, third)
    after = np.random.get_state()
    assert (state[1] == after[1]).all() and state[2] == after[2] and torch_state.equal(torch.get_rng_state())


def test_evaluations_are_counted(tiny: StyleGAN2) -> None:
    """The start, every candidate with its steps, and the result."""
    problem, targets = generated(tiny)
    assert 4 + int(3 * np.log(16)) == 12
    for projector, spent in [
        (CMA(problem, generations=3), 3 * 12),
        (CMA(problem, generations=3, population=7), 3 * 7),
        (CMA(problem, generations=0), 0),
        (BasinCMA(problem, generations=2, steps=5, population=6), 2 * 6 * (5 + 1)),
    ]:
        assert project(problem, [projector], targets).evaluations.tolist() == [spent + 2] * 3
    chain = [Mean(problem), CMA(problem, generations=3, population=7), Optimization(problem, steps=4, keep_best=False)]
    assert project(problem, chain, targets).evaluations.tolist() == [1 + 3 * 7 + 2 + 4 + 1] * 3


@BOTH
def test_what_a_chain_has_found_is_kept_unless_there_is_better(
    make: type[AbstractProjector], settings: Any, tiny: StyleGAN2
) -> None:
    problem, targets = generated(tiny)
    chain = [BestOf(problem, candidates=20), Optimization(problem, steps=30)]
    good = project(problem, chain, targets)
    after = project(problem, [*chain, make(problem, **{**settings, "generations": 2}, sigma=2.0)], targets)
    assert (after.loss <= good.loss * (1 + 1e-5)).all()
    total = after.history["total"]
    assert total.shape[1] == good.history["total"].shape[1] + 2 + 1  # a value per generation and one at the end
    assert (total[:, -3:].diff(dim=1) <= 1e-6).all() and total[:, -1].equal(after.loss)
    assert after.history["pixel"].shape == total.shape and after.history["pixel"][:, -1].equal(after.loss)


@BOTH
def test_noise_maps_go_along(make: type[AbstractProjector], settings: Any, tiny: StyleGAN2) -> None:
    problem, targets = generated(tiny, noise="optimize")
    found = project(problem, [make(problem, **settings)], targets)
    assert found.v.keys() == {"latent", *(f"noise/{name}" for name in tiny.noise_shapes)}
    torch.testing.assert_close(found.render(tiny), found.image)
    start = problem.initial_noise(targets)
    assert all(found.v[name].equal(start[name]) for name in start) is (make is CMA)


@BOTH
def test_candidates_keep_to_the_space(make: type[AbstractProjector], settings: Any, tiny: StyleGAN2) -> None:
    targets = generated(tiny)[1]
    for space in (Z(tiny, constraint="clamp", limit=0.5), Z(tiny, constraint="sphere")):
        problem = Problem(space, {"pixel": Pixel()}, {}, Adam())
        found = project(problem, [make(problem, **settings, sigma=2.0)], targets)
        torch.testing.assert_close(space.constrain(found.latent), found.latent)


@BOTH
def test_values_that_are_no_numbers_are_the_worst(make: type[AbstractProjector], settings: Any) -> None:
    class Walled(Pixel):
        def compare(self, features: list[Tensor], target: list[Tensor], weights: Tensor | None = None) -> Tensor:
            value = super().compare(features, target, weights)
            return torch.where(features[0].flatten(1).amax(dim=1) > 0.8, torch.nan, value)

    problem, targets = planted(Walled())
    start = project(problem, [Mean(problem)], targets)
    found = project(problem, [make(problem, **{**settings, "generations": 8})], targets)
    assert found.loss.isfinite().all() and (found.loss < start.loss).all() and found.status == ["done"] * 3


def test_an_image_that_a_callback_stops_keeps_its_latent(tiny: StyleGAN2) -> None:
    problem, targets = generated(tiny)
    seen: list[Tensor] = []

    def stop(step: Step) -> None:
        assert step.steps == 5 and step.terms.image.shape == targets.images.shape
        seen.append(step.terms.total.clone())
        step.active[1] = step.index < 2

    found = project(problem, [CMA(problem, generations=5)], targets, [stop])
    whole = project(problem, [CMA(problem, generations=5)], targets)
    brief = project(problem, [CMA(problem, generations=3)], targets)
    assert found.status == ["done", "stopped", "done"] and len(seen) == 5
    assert found.latent[::2].equal(whole.latent[::2]) and found.latent[1].equal(brief.latent[1])
    assert found.evaluations.tolist() == [62, 38, 62]
    assert found.history["total"][1].isnan().tolist() == [False] * 3 + [True] * 2 + [False]


def test_without_the_package_one_sentence_says_what_to_install(
    tiny: StyleGAN2, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, _ = generated(tiny)
    monkeypatch.setitem(sys.modules, "cma", None)
    for make, settings in PROJECTORS:
        with pytest.raises(ValueError, match=r"^projector: cma and basin_cma need .* install zstar\[cma\] or choose"):
            make(problem, **settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"sigma": 0.0}, "sigma: 0.0 is not possible; set it to a number above 0"),
        ({"population": 3}, "population: 3 is not possible; set it to 4 or more"),
        ({"generations": -1}, "generations: -1 is not possible; set it to 0 or more"),
        ({"chunk": 0}, "chunk: 0 is not possible; set it to 1 or more"),
    ],
)
def test_wrong_settings_name_their_key(settings: Any, sentence: str, tiny: StyleGAN2) -> None:
    problem, _ = generated(tiny)
    for make, name in ((CMA, "cma"), (BasinCMA, "basin_cma")):
        with pytest.raises(ValueError) as error:
            make(problem, **settings)
        assert str(error.value) == f"projector.{name}.{sentence}"
    with pytest.raises(ValueError, match="projector.basin_cma.steps: 0 is not possible"):
        BasinCMA(problem, steps=0)
