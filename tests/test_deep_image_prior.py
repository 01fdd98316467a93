"""An untrained network as the generator: its weights restore a picture, and stop before they learn the noise."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zstar.callbacks import Average, Steadiest, Step
from zstar.config.reasons import Unfit
from zstar.generators.checkpointing import checkpoint_blocks
from zstar.generators.deep_image_prior import DeepImagePrior
from zstar.generators.module import Module
from zstar.generators.pixels import Pixels as PixelGenerator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.variables import named, part
from zstar.inversion import Inversion
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.metrics.psnr import PSNR
from zstar.objective import Objective, Problem, Terms
from zstar.optimizers.adam import Adam
from zstar.optimizers.lbfgs import LBFGS
from zstar.projection import batches
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.untrained import Untrained
from zstar.spaces.pixels import Pixels
from zstar.spaces.z import Z

SMALL: dict[str, Any] = {"resolution": 16, "inputs": 3, "width": 6, "skip": 2, "scales": 2}


@pytest.fixture(scope="module")
def small() -> DeepImagePrior:
    return DeepImagePrior(**SMALL)


def changed(generator: DeepImagePrior, count: int) -> dict[str, Tensor]:
    """v of images that have the weights of none of the others."""
    rng = torch.Generator().manual_seed(3)
    theta = generator.free_weights("z")
    own = {name: torch.randn(count, *value.shape, generator=rng) * 0.2 for name, value in theta.items()}
    return {"latent": generator.sample(count, rng), **named("weights", own)}


def rows(v: dict[str, Tensor], place: slice) -> dict[str, Tensor]:
    return {name: value[place] for name, value in v.items()}


def problem_of(generator: DeepImagePrior, **settings: Any) -> Problem:
    adam = Adam(ramp_up=0, ramp_down=0)
    return Problem(Z(generator, 10), {"pixel": Pixel()}, {}, **({"optimizer": adam} | settings))


def photos(count: int, size: int) -> Targets:
    images = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(7)) * 2 - 1
    return Targets({"image": images}, [f"photo-{i}" for i in range(count)])


def test_the_weights_come_from_a_stream_of_their_own() -> None:
    before = torch.random.get_rng_state()
    one, same, other = DeepImagePrior(**SMALL), DeepImagePrior(**SMALL), DeepImagePrior(**SMALL, seed=1)
    assert torch.random.get_rng_state().equal(before)
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert one.fingerprint() != DeepImagePrior(**SMALL | {"resolution": 20}).fingerprint()
    assert one.trained and not one.learned


@pytest.mark.parametrize(("resolution", "channels"), [(16, 3), (21, 1)])
def test_it_draws_at_any_size(resolution: int, channels: int) -> None:
    generator = DeepImagePrior(**SMALL | {"resolution": resolution, "channels": channels, "scales": 3})
    images = generator.synthesize(generator.sample(2, torch.Generator().manual_seed(0)), "z")
    assert images.shape == (2, channels, resolution, resolution) and images.abs().max() < 1
    assert images.std(dim=(2, 3)).min() > 1e-3
    heights = [-(-resolution // 4), -(-resolution // 2), resolution]
    assert list(generator.layers) == [f"b{height}" for height in heights]
    with generator.reading(*generator.layers) as seen:
        generator.synthesize(generator.sample(1, torch.Generator()), "z")
    assert [seen[name].shape[-1] for name in generator.layers] == heights


def test_only_the_direction_of_its_noise_counts(small: DeepImagePrior) -> None:
    z = small.sample(2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(small.synthesize(4 * z + 0.5, "z"), small.synthesize(z, "z"), atol=1e-3, rtol=0)
    start = Z(small, 10).start(2)
    assert start[0].equal(start[1]) and start.std() == pytest.approx(3**-0.5, rel=0.05)


def test_blocks_can_be_run_again_in_the_backward_pass(small: DeepImagePrior) -> None:
    again = copy.deepcopy(small)
    checkpoint_blocks(again)
    slopes = []
    for generator in (small, again):
        leaves = {name: value.requires_grad_() for name, value in changed(small, 2).items()}
        slopes.append(torch.autograd.grad(generator.render(leaves, "z").square().sum(), list(leaves.values())))
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scales": 4}, r"generator.scales: 4 is not possible; set it to 1 to 3"),
        ({"channels": 2}, "generator.channels: 2 colours are no image"),
        ({"width": 0}, "generator.width: 0 is not possible; set it to 1 or more"),
        ({"resolution": 3}, "generator.resolution: 3 is not possible; set it to 4 or more"),
    ],
)
def test_sizes_that_cannot_be_are_one_sentence(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DeepImagePrior(**SMALL | settings)


def steps_of(pictures: Tensor, active: Tensor) -> list[Step]:
    """Steps at which the one variable is the number of the step, and these ``[t, b, c, h, w]`` the pictures."""
    count = pictures.shape[1]
    return [
        Step(
            k, len(pictures), Terms(torch.ones(count), {}, image), {"latent": torch.full((count, 1), float(k))}, active
        )
        for k, image in enumerate(pictures)
    ]


def test_the_steadiest_pictures_are_found_of_each_image_by_itself() -> None:
    times = torch.arange(40.0)[:, None]
    spread = (times - torch.tensor([12.0, 22.0, 80.0])).abs() + 1
    pictures = ((-1) ** times * spread)[:, :, None, None, None].expand(-1, -1, 1, 4, 4)  # to and fro
    active, rule = torch.ones(3, dtype=torch.bool), Steadiest(window=5, patience=9, average=Average(0))
    going = []
    for step in steps_of(pictures, active):
        rule(step)
        going.append(active.clone())
    assert rule.found.tolist() == [15, 25, 40]  # the step in the middle of the window is number 13, 23 and the last one
    assert rule.v["latent"][:, 0].tolist() == [14, 24, 39]
    ended = torch.stack(going).sum(dim=0) + 1
    assert ended.tolist() == [15 + 9, 25 + 9, 40 + 1] and active.tolist() == [False, False, True]


def test_a_picture_that_is_not_finite_is_never_steady() -> None:
    values = torch.tensor([10, 6, 3, 1, 0, 0, 0, 0] + [torch.nan] * 4)
    pictures = values[:, None, None, None, None].expand(-1, 1, 1, 2, 2)
    rule = Steadiest(3, 100, Average(0))
    for step in steps_of(pictures, torch.ones(1, dtype=torch.bool)):
        rule(step)
    assert rule.found.tolist() == [7] and rule.v["latent"].item() == 6


def test_the_mean_is_of_all_steps_and_then_of_the_last_ones() -> None:
    active, mean = torch.tensor([True, True]), Average(0.75)
    wanted = 0.0
    for step in steps_of(torch.zeros(10, 2, 1, 1, 1), active):
        active[1] = step.index < 2
        mean(step)
        wanted += max(0.25, 1 / (step.index + 1)) * (step.index - wanted)
    assert mean.v["latent"][0].item() == pytest.approx(wanted) and mean.v["latent"][1].item() == 0.5


def test_a_batch_stops_where_its_images_stop_and_draws_the_same_again(small: DeepImagePrior, tmp_path: Path) -> None:
    problem, targets, before = problem_of(small), photos(3, 16), small.fingerprint()
    settings = {"steps": 24, "window": 4, "patience": 5, "average": 0.8}
    found = project(problem, [Untrained(problem, **settings)], targets)
    assert set(found.v) == {"latent", *named("weights", small.free_weights("z"))} and small.fingerprint() == before
    assert found.latent.equal(problem.space.start(3)) and "stopped" in found.status
    for i in (0, 2):
        alone = project(
            problem,
            [Untrained(problem, **settings)],
            Targets({"image": targets.images[i : i + 1]}, targets.ids[i : i + 1]),
        )
        torch.testing.assert_close(alone.image[0], found.image[i], atol=1e-3, rtol=0)
        assert alone.evaluations.item() == found.evaluations[i].item() and alone.status == [found.status[i]]
    found.save(tmp_path / "found.safetensors")
    assert Inversion.load(tmp_path / "found.safetensors").render(DeepImagePrior(**SMALL)).equal(found.image)


def test_what_is_returned_is_the_mean_of_the_last_weights(small: DeepImagePrior) -> None:
    problem, targets, seen = problem_of(small), photos(2, 16), []
    found = Untrained(problem, steps=6, window=None, average=0.5)(
        Objective(problem, targets), callbacks=[lambda step: seen.append(step.v)]
    )
    (name, value) = next(iter(part(found.v, "weights").items()))
    mean = Average(0.5)
    for k, v in enumerate(seen):
        mean(Step(k, 6, Terms(torch.ones(2), {}, torch.zeros(2, 1, 1, 1)), v, torch.ones(2, dtype=torch.bool)))
    assert value.equal(mean.v[f"weights/{name}"]) and not value.equal(seen[-1][f"weights/{name}"])
    problem_cost = Untrained(problem, steps=6).cost
    assert found.evaluations.tolist() == [problem_cost] * 2 and found.status == ["done"] * 2
    assert Untrained(problem, steps=0)(Objective(problem, targets)).status == ["done"] * 2


def test_the_jitter_moves_the_noise_of_a_step_and_is_each_images_own(small: DeepImagePrior) -> None:
    problem, targets = problem_of(small), photos(2, 16)

    def first_values(seed: int = 0, **settings: Any) -> Tensor:
        own = problem_of(small, seed=seed)
        return Untrained(own, steps=1, **settings)(Objective(own, targets)).history["total"][:, 0]

    still, shaken = first_values(jitter=0), first_values()
    torch.testing.assert_close(still, Objective(problem, targets)(problem.start(targets)).total)
    assert not shaken.equal(still) and not shaken.equal(first_values(seed=1)) and shaken.equal(first_values())
    assert Untrained(problem).random and not Untrained(problem, jitter=0).random


@pytest.mark.slow
def test_it_denoises_by_three_decibels_with_no_clean_picture_to_look_at() -> None:
    """σ = 25/255, by the rule; the weights at the end have learned the noise."""
    axis = torch.linspace(-1, 1, 16)
    clean = torch.stack([axis[:, None] * axis, (axis[:, None] > axis).float() - 0.5, (4 * axis).sin().expand(16, 16)])
    clean = (0.7 * clean)[None]
    noisy = clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * (2 * 25 / 255)
    problem = problem_of(DeepImagePrior(16, width=16, scales=2, inputs=4))
    targets, psnr = Targets({"image": noisy}, ["a"]), PSNR()
    found = project(problem, [Untrained(problem, steps=350, lr=0.02, window=20, patience=50)], targets)
    to_the_end = project(problem, [Untrained(problem, steps=350, lr=0.02, window=None)], targets)
    start, stopped, end = (psnr(x.clamp(-1, 1), clean).item() for x in (noisy, found.image, to_the_end.image))
    assert math.isfinite(start) and stopped > start + 3 and stopped > end + 1
    assert found.status == ["stopped"] and to_the_end.status == ["done"]


def test_a_network_of_ones_own_without_weights_from_a_file_is_untrained() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh())
    problem = Problem(Z(Module(network, [2, 16, 16]), 10), {"pixel": Pixel()}, {}, Adam())
    found = project(problem, [Untrained(problem, steps=5, window=2)], photos(2, 16))
    assert found.loss.isfinite().all() and "weights/network.0.weight" in found.v


def test_what_cannot_be_is_one_sentence(small: DeepImagePrior, tiny: StyleGAN2, composed: Callable[..., Any]) -> None:
    problem = problem_of(small)
    for settings, said in (
        ({"window": 1}, "projector.untrained.window: 1 is not possible; set it to 2 or more"),
        ({"patience": 0}, "projector.untrained.patience: 0 is"),
        ({"average": 1.0}, r"projector.untrained.average: 1.0 is no decay; set it to 0 or more, below 1"),
        ({"lr": 0.0}, "projector.untrained.lr: 0"),
        ({"jitter": -1.0}, "projector.untrained.jitter: -1"),
    ):
        with pytest.raises(ValueError, match=said):
            Untrained(problem, **settings)
    with pytest.raises(ValueError, match=r"projector.untrained.jitter: LBFGS needs the same objective"):
        Untrained(problem_of(small, optimizer=LBFGS()))
    for generator, kind, said in (
        (tiny, Z, "projector.untrained: StyleGAN2 has learned its weights"),
        (PixelGenerator(8), Pixels, "projector.untrained: Pixels has no weights to fit"),
    ):
        with pytest.raises(Unfit, match=said):
            Untrained(Problem(kind(generator, 10), {"pixel": Pixel()}, {}, Adam()))


def test_a_run_keeps_the_weights_of_its_images_and_goes_on_where_it_was_cut_off(
    composed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = batches.project_with_start, []

    def cut(*arguments: Any) -> Any:
        seen.append(arguments[2].ids)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(batches, "project_with_start", cut)
    words = [
        "method=deep_image_prior", "generator.resolution=16", "generator.width=6", "generator.inputs=3",
        "generator.scales=2", "data.count=3", "data.resolution=16", "metric=[psnr]", "logger=none", "device=cpu",
        "batch_size=2", "steps=3",
    ]  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        run(composed("invert", *words, f"output={tmp_path}/cut"))
    result, whole = (run(composed("invert", *words, f"output={tmp_path}/{name}")) for name in ("cut", "whole"))
    assert [len(ids) for ids in seen] == [2, 1, 1, 2, 1]
    found, same = (Inversion.load(Path(each["folder"]) / "latents.safetensors") for each in (result, whole))
    assert found.v.keys() == same.v.keys() and all(found.v[name].equal(value) for name, value in same.v.items())
    generator = DeepImagePrior(16, inputs=3, width=6, scales=2)
    numbers = 3 * 16**2 + sum(value.numel() for value in generator.free_weights("z").values())
    assert result["bytes_per_image"] == 4 * numbers and result["method"] == "deep_image_prior" and result["stochastic"]
    assert found.render(generator).shape == (3, 3, 16, 16)
