"""The loop: it recovers what is known, and a batch is exactly its images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from parameters import slowly
from torch import Tensor

from zstar.config.build import build, offer, to_plain
from zstar.config.check import STROKES
from zstar.data.cottages import Cottages
from zstar.encoders.trained import TrainedEncoder
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.variables import part
from zstar.inversion import Inversion, minimize
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.optimizers.base import AbstractOptimizer
from zstar.optimizers.lbfgs import LBFGS
from zstar.projectors.base import project
from zstar.projectors.best_of import BestOf
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.projectors.random import Random
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.stats.streams import stream

CONF = Path(__file__).parents[1] / "conf"
LOSSES = sorted(path.stem for path in (CONF / "loss").glob("*.yaml"))
FLOWS = {"likelihood"}  # what is for flows alone, and tested in tests/test_flows.py
REGULARIZERS = sorted({path.stem for path in (CONF / "regularizer").glob("*.yaml")} - FLOWS)


@pytest.fixture(scope="module")
def tiny() -> StyleGAN2:
    torch.manual_seed(1)
    generator = StyleGAN2(resolution=16, z_dim=16, w_dim=16, num_mapping_layers=2, channel_max=16)
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):  # zero in a fresh network, where noise would change nothing
            parameter.data.fill_(0.2)
    return generator


def targets_of(generator: StyleGAN2, n: int) -> Targets:
    """Images that the generator can make, with known latents."""
    w = generator.sample(n, torch.Generator().manual_seed(5), space="w")
    return Targets({"image": generator.synthesize(w, "w")}, [f"image-{i}" for i in range(n)])


def one(targets: Targets, index: int) -> Targets:
    return Targets({"image": targets.images[index : index + 1]}, targets.ids[index : index + 1])


def problem_of(generator: StyleGAN2, space: type = W, lr: float = 0.1, **given: Any) -> Problem:
    given = {"losses": {"pixel": Pixel()}, "regularizers": {}, "optimizer": Adam(lr=lr)} | given
    return Problem(space(generator, prior_samples=500), **given)


def test_optimization_recovers_samples(tiny: StyleGAN2) -> None:
    problem, targets = problem_of(tiny), targets_of(tiny, 4)
    start = project(problem, [Mean(problem)], targets)
    found = project(problem, [Mean(problem), Optimization(problem, steps=150)], targets)
    assert (found.loss < 0.02 * start.loss).all()
    assert found.evaluations.tolist() == [1 + 151 + 1] * 4  # the mean, 150 steps and their end, and the best once more
    assert found.history["total"].shape == (4, 1 + 151)
    torch.testing.assert_close(problem.render(found.v), found.image, rtol=0, atol=0)


def single_runs_agree(problem: Problem, chain: Callable[[Problem], list[Any]], targets: Targets) -> None:
    """The first and the last image by themselves: what runs over from a neighbour comes to one of them."""
    together = project(problem, chain(problem), targets)
    for index in (0, len(targets.ids) - 1):
        alone = project(problem, chain(problem), one(targets, index))
        torch.testing.assert_close(alone.loss, together.loss[index : index + 1], rtol=1e-3, atol=1e-7)
        torch.testing.assert_close(
            alone.history["total"],
            together.history["total"][index : index + 1],
            rtol=1e-2,
            atol=1e-6,
            equal_nan=True,
        )
        assert alone.status == together.status[index : index + 1]


@pytest.mark.parametrize("name", [slowly(name, "lpips_vgg", "moco", "stlpips", "identity") for name in LOSSES])
def test_a_batch_is_exactly_its_images_under_every_loss(
    tiny: StyleGAN2, name: str, composed: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    weights = {
        **dict.fromkeys(("vgg19", "gram", "content"), "vgg19-conv3/vgg_normalised_conv3_1.pth"),
        "squeezenet11": "squeezenet11/squeezenet1_1_features.caffe_bgr255.converted.pth",
        "identity": "mobilefacenet/mobilefacenet_068.ckpt",
    }
    extra = [f"loss.{name}.pnet_rand=true"] if name.startswith("lpips") else []
    if name in weights:
        extra += [f"loss.{name}.network.checkpoint={request.getfixturevalue('shared') / 'assets' / weights[name]}"]
    if name == "moco":  # of smaller images, for the sake of time
        extra += [f"loss.moco.network.checkpoint={request.getfixturevalue('moco_checkpoint')}"]
        extra += ["loss.moco.size=[32,32]"]
    extra += [f"loss.{name}.target=image"] if name in ("gram", "gradient") else []
    extra += [f"loss.{name}.target=image", f"loss.{name}.mask=null"] if name in STROKES else []
    node = to_plain(composed("invert", f"loss=[{name}]", *extra).loss[name])
    node |= request.getfixturevalue("judge") if name in ("discriminator", "realism") else {}
    # For these small pictures a network of faces has nearly one vector, and steps would amplify its rounding.
    problem = problem_of(tiny, losses={name: build(node)}, lr=0.003 if name == "identity" else 0.03)
    targets = targets_of(tiny, 4)
    single_runs_agree(problem, lambda p: [Mean(p), Optimization(p, steps=4, explore=0.02)], targets)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_a_batch_is_exactly_its_images_under_every_regularizer(
    tiny: StyleGAN2,
    name: str,
    composed: Callable[..., Any],
    guess: Callable[..., TrainedEncoder],
    judge: dict[str, Any],
) -> None:
    node = to_plain(composed("invert", f"regularizer=[{name}]").regularizer[name])
    node |= judge if name == "realism" else {}
    space = WPlus(tiny, prior_samples=500)
    regularizer = offer(node, space=space, encoder=guess(space))
    problem = Problem(space, {"pixel": Pixel()}, {name: regularizer}, Adam(lr=0.03), noise="optimize")
    targets = targets_of(tiny, 5)
    single_runs_agree(problem, lambda p: [Random(p), Optimization(p, steps=6)], targets)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])  # that of quadratic equations: test_gradient_domain.py
def test_a_batch_is_exactly_its_images_under_every_optimizer(
    tiny: StyleGAN2, optimizer: str, composed: Callable[..., Any]
) -> None:
    problem = problem_of(tiny, optimizer=build(composed("invert", f"optimizer={optimizer}").optimizer))
    targets = targets_of(tiny, 8)
    single_runs_agree(
        problem, lambda p: [BestOf(p, candidates=20, chunk=7), Optimization(p, steps=6, patience=3)], targets
    )


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [Adam(lr=0.1), LBFGS()], ids=["adam", "lbfgs"])
def test_the_shipped_generator_treats_a_batch_as_its_images(optimizer: AbstractOptimizer) -> None:
    # In double precision, because rounding of another batch size grows along a trajectory in single precision.
    generator = StyleGAN2(checkpoint="cottages64")
    problem = problem_of(generator, WPlus, optimizer=optimizer)
    start = problem.space.start(1).double()
    generator.double()
    batch = Cottages(count=2).read(range(2))
    targets = Targets({"image": batch.images.double()}, batch.ids)

    def final(wanted: Targets) -> Tensor:
        v = {"latent": start.repeat(len(wanted.ids), 1, 1)}
        return minimize(Objective(problem, wanted), v, problem.groups(v), steps=6).loss

    together = final(targets)
    for index in (0, 1):
        torch.testing.assert_close(final(one(targets, index)), together[index : index + 1], rtol=1e-3, atol=0)


def test_lbfgs_beats_adam_at_equal_evaluations(tiny: StyleGAN2, composed: Callable[..., Any]) -> None:
    lbfgs = problem_of(tiny, optimizer=build(composed("invert", "optimizer=lbfgs").optimizer))
    targets = targets_of(tiny, 4)
    quick = project(lbfgs, [Optimization(lbfgs, steps=30)], targets)
    adam = problem_of(tiny)
    slow = project(adam, [Optimization(adam, steps=int(quick.evaluations.max()))], targets)
    assert quick.loss.mean() < slow.loss.mean()
    torch.testing.assert_close(quick.loss, quick.history["total"].amin(dim=1))  # points on trial may be worse


def test_an_image_that_stops_early_stands_still(tiny: StyleGAN2) -> None:
    problem, targets = problem_of(tiny), targets_of(tiny, 2)
    exact = tiny.sample(2, torch.Generator().manual_seed(5), space="w")
    # The first image starts at its solution, where no progress is possible; the second one has work to do.
    start = torch.stack([exact[0], problem.space.mean])
    begin = Objective(problem, targets)
    inversion = Mean(problem)(begin)
    inversion.v["latent"] = start
    found = Optimization(problem, steps=40, patience=10)(begin, inversion)
    assert found.status == ["stopped", "done"]
    torch.testing.assert_close(found.latent[0], exact[0])
    assert found.evaluations[0] < found.evaluations[1]
    assert found.loss[1] < 0.5 * inversion.loss[1]
    steps = (~found.history["total"].isnan()).sum(dim=1)
    assert steps[0] == found.evaluations[0] - 1 < steps[1]  # its history ends where it stopped


def test_the_best_seen_is_returned(tiny: StyleGAN2) -> None:
    problem, targets = problem_of(tiny, lr=3.0, optimizer=Adam(lr=3.0, ramp_down=0.0)), targets_of(tiny, 3)
    last = project(problem, [Optimization(problem, steps=25, keep_best=False)], targets)
    best = project(problem, [Optimization(problem, steps=25)], targets)
    assert (best.loss <= last.loss).all() and (best.loss < last.loss).any()
    torch.testing.assert_close(best.loss, best.history["total"].amin(dim=1), rtol=1e-4, atol=1e-7)


def test_a_diverging_image_is_named_and_leaves_the_others_alone(tiny: StyleGAN2) -> None:
    problem, targets = problem_of(tiny), targets_of(tiny, 2)
    images = targets.images.clone()
    images[0] = float("nan")
    found = project(problem, [Mean(problem), Optimization(problem, steps=10)], Targets({"image": images}, targets.ids))
    alone = project(problem, [Mean(problem), Optimization(problem, steps=10)], one(targets, 1))
    assert found.status == ["diverged", "done"]
    torch.testing.assert_close(found.loss[1:], alone.loss, rtol=1e-4, atol=0)


class Wall(AbstractRegularizer):
    """Not a number beyond a distance from the start."""

    def __init__(self, space: AbstractSpace, reach: float) -> None:
        super().__init__(space)
        self.reach = reach

    def __call__(self, v: Any, image: Tensor) -> Tensor:
        far = (v["latent"] - self.space.mean).flatten(1).norm(dim=1)
        return torch.where(far > self.reach, torch.nan, 0 * far)


def test_a_trial_without_a_value_is_lbfgss_own_business(tiny: StyleGAN2) -> None:
    targets = targets_of(tiny, 3)
    problem = problem_of(tiny, optimizer=LBFGS(lr=20.0))  # whose first trial is far beyond the wall
    problem.regularizers["wall"] = Wall(problem.space, reach=6.0)
    found = Optimization(problem, steps=25)(Objective(problem, targets))
    total = found.history["total"]
    assert total[:, 1].isinf().all(), "the first trial has no value, and is no sign of an end"
    assert found.status == ["done"] * 3 and found.evaluations.tolist() == [27] * 3
    assert (found.loss < 0.5 * total[:, 0]).all()


@pytest.mark.parametrize("keep_best", [True, False])
def test_failure_is_a_value_of_what_is_returned(tiny: StyleGAN2, keep_best: bool) -> None:
    problem, targets = problem_of(tiny, optimizer=Adam(lr=0.15, ramp_up=0.0, ramp_down=0.0)), targets_of(tiny, 2)
    problem.regularizers["wall"] = Wall(problem.space, reach=1.5)  # Adam's steps lead there, and never back
    found = Optimization(problem, steps=30, keep_best=keep_best)(Objective(problem, targets))
    if keep_best:
        assert found.status == ["stopped"] * 2 and (found.loss < 0.9 * found.history["total"][:, 0]).all()
    else:
        assert found.status == ["diverged"] * 2 and not found.loss.isfinite().any()


def test_lbfgs_returns_no_trial(tiny: StyleGAN2) -> None:
    problem, targets = problem_of(tiny, optimizer=LBFGS()), targets_of(tiny, 8)
    for steps in (1, 4, 7, 12):  # whatever the last trial was
        last = Optimization(problem, steps=steps, keep_best=False)(Objective(problem, targets))
        torch.testing.assert_close(last.loss, last.history["total"][:, :-1].amin(dim=1), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("rows", [W, WPlus])
def test_exploration_is_measured_by_codes(tiny: StyleGAN2, rows: type) -> None:
    """Each coordinate's noise begins at ``explore`` times the distance of a prior code from the mean."""

    class Spy(AbstractRegularizer):
        def __call__(self, v: Any, image: Tensor) -> Tensor:
            seen.append(v["latent"].detach())
            return image.new_zeros(len(image))

    problem, seen = problem_of(tiny, rows, lr=1e-9), []
    problem.regularizers["spy"] = Spy(problem.space)
    Optimization(problem, steps=4, explore=0.1, keep_best=False)(Objective(problem, targets_of(tiny, 16)))
    noise = (seen[0] - problem.space.mean).std().item()
    assert noise == pytest.approx(0.1 * problem.space.spread * 16**0.5, rel=0.1)  # w has 16 coordinates


def test_more_candidates_are_never_worse(tiny: StyleGAN2) -> None:
    problem, targets = problem_of(tiny), targets_of(tiny, 6)
    one, many = (project(problem, [BestOf(problem, candidates=n)], targets).loss for n in (1, 100))
    assert (many <= one).all() and many.mean() < 0.9 * one.mean()


def test_a_draw_without_a_value_is_never_the_best(tiny: StyleGAN2) -> None:
    problem, targets = problem_of(tiny), targets_of(tiny, 3)
    draws = problem.space.sample(20, stream("candidates", 0))
    problem.regularizers["wall"] = Wall(problem.space, (draws - problem.space.mean).norm(dim=1).median().item())
    found = project(problem, [BestOf(problem, candidates=20)], targets)
    assert found.loss.isfinite().all() and found.status == ["done"] * 3


def test_draws_are_compared_where_noise_maps_are_free_and_regularized(
    tiny: StyleGAN2, composed: Callable[..., Any]
) -> None:
    targets = targets_of(tiny, 3)
    problem = problem_of(tiny, noise="optimize")
    node = composed("invert", "regularizer=[noise_maps]").regularizer.noise_maps
    problem.regularizers["noise_maps"] = offer(node, space=problem.space)
    chain = [BestOf(problem, candidates=5), Optimization(problem, steps=2)]
    found = project(problem, chain, targets)
    assert set(part(found.v, "noise")) == set(tiny.noise_shapes) and found.status == ["done"] * 3
    plain = problem_of(tiny)
    torch.testing.assert_close(
        project(problem, chain[:1], targets).latent, project(plain, [BestOf(plain, candidates=5)], targets).latent
    )


def test_the_seed_and_the_id_decide_a_random_start(tiny: StyleGAN2) -> None:
    targets = targets_of(tiny, 2)

    def draw(seed: int, wanted: Targets) -> Tensor:
        problem = problem_of(tiny, seed=seed)
        return project(problem, [Random(problem)], wanted).latent

    assert draw(0, targets).equal(draw(0, targets))
    assert draw(0, one(targets, 1)).equal(draw(0, targets)[1:])
    assert not draw(0, targets)[0].equal(draw(0, targets)[1])
    assert not draw(0, targets).equal(draw(1, targets))


def test_a_saved_inversion_draws_the_same_image(tiny: StyleGAN2, tmp_path: Path) -> None:
    problem, targets = problem_of(tiny, WPlus, noise="optimize"), targets_of(tiny, 3)
    found = project(problem, [Mean(problem), Optimization(problem, steps=5)], targets)
    assert set(part(found.v, "noise")) == set(tiny.noise_shapes)
    found.save(tmp_path / "found.safetensors")
    back = Inversion.load(tmp_path / "found.safetensors")
    assert back.render(tiny).equal(found.image)
    assert back.image.equal(found.image) and back.ids == targets.ids and back.status == found.status
    # Without the optimised maps the picture is another one: they belong to the result.
    assert not torch.allclose(tiny.synthesize(back.latent, back.space, "const"), found.image, atol=1e-3)


def test_exploration_noise_decays_and_depends_on_the_image_alone(tiny: StyleGAN2) -> None:
    problem, targets = problem_of(tiny, lr=1e-9), targets_of(tiny, 2)
    moved = project(problem, [Optimization(problem, steps=20, explore=0.1, keep_best=False)], targets)
    jitter = (moved.history["total"] - moved.loss[:, None]).abs()
    assert (jitter[:, :5].mean(dim=1) > 10 * jitter[:, 16:20].mean(dim=1)).all()
    torch.testing.assert_close(moved.latent, problem.space.start(2))


def test_unusable_problems_are_refused_in_one_sentence(tiny: StyleGAN2, composed: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="loss: the list is empty"):
        problem_of(tiny, losses={})
    pixels = build(composed("invert", "generator=pixels").generator)
    space = offer(composed("invert", "space=pixels").space, generator=pixels)
    with pytest.raises(ValueError, match="noise: 'optimize' needs noise maps and"):
        Problem(space, {"pixel": Pixel()}, {}, Adam(), noise="optimize")
    lbfgs = problem_of(tiny, optimizer=build(composed("invert", "optimizer=lbfgs").optimizer))
    with pytest.raises(ValueError, match="explore: LBFGS needs the same objective at every step"):
        Optimization(lbfgs, explore=0.1)
    with pytest.raises(ValueError, match=r"no space 'pixels'; choose one of z, w, w_plus, style"):
        offer(composed("invert", "space=pixels").space, generator=tiny)
