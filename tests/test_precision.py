"""Precision is said, kept to, left behind, and nowhere near what is measured."""

import importlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from zstar import cli
from zstar.config.reasons import Unfit
from zstar.data.cottages import Cottages
from zstar.data.samples import Samples
from zstar.editability.base import AbstractEditability
from zstar.editing.job import make_edit_job
from zstar.editing.run import run as edit
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.stylegan2_functions import Activate, MixPixels, Smooth
from zstar.images import to_uint8
from zstar.inversion import Step
from zstar.losses.perceptual import Perceptual
from zstar.losses.pixel import Pixel
from zstar.metrics.base import AbstractMetric
from zstar.metrics.kid import KID
from zstar.metrics.perceptual import Perceptual as Judged
from zstar.metrics.ssim import SSIM
from zstar.objective import Problem, Targets
from zstar.optimizers.adam import Adam, Moments
from zstar.optimizers.slices import Slices
from zstar.projection.job import make_job
from zstar.projection.measure import extract_features, measure, write_features
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.best_of import BestOf
from zstar.projectors.optimization import Optimization
from zstar.regularizers.latent_norm import LatentNorm
from zstar.runs.precision import computing, exactly, fix_workspace, networks
from zstar.spaces import base as spaces
from zstar.spaces.w import W
from zstar.tasks.base import AbstractTask
from zstar.tasks.callbacks import Scores

PRECISIONS = ("exact", "tf32", "bf16")
SMALL = [
    "generator=stylegan2", "data.resolution=16", "data.count=2", "steps=2", "space=w", "space.prior_samples=50",
    "loss=[pixel]", "metric=[psnr]", "logger=none",
]  # fmt: skip


def switches() -> tuple[bool, ...]:
    """TF32 in products and in convolutions, deterministic and trying cuDNN."""
    cudnn = torch.backends.cudnn
    return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark


class Eye(nn.Module):
    """A small network that notes what it is run with."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2))
        self.seen: list[tuple[Any, ...]] = []

    def forward(self, images: Tensor) -> list[Tensor]:
        made = self.body(images)
        self.seen.append((made.dtype, *switches()))
        return [made]


EXACT = (torch.float32, False, False, True, False)


@pytest.fixture
def config(composed: Callable[..., DictConfig], weights: str, tmp_path: Path) -> Callable[..., DictConfig]:
    """The configuration of a small projection."""
    return lambda *words: composed("invert", *SMALL, weights, f"output={tmp_path}/runs", *words)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


# Switches


@pytest.mark.parametrize(
    ("precision", "inside"),
    [
        ("exact", (False, False, True, False)),
        ("tf32", (True, True, True, False)),
        ("bf16", (False, False, True, False)),
    ],
)
def test_switches_are_set_within_and_as_before_behind(precision: Any, inside: tuple[bool, ...]) -> None:
    before = switches()
    with computing(precision):
        assert switches() == inside
        with exactly():
            assert switches() == (False, False, True, False)
        assert switches() == inside
    assert switches() == before
    with pytest.raises(RuntimeError, match="in between"), computing(precision):
        raise RuntimeError("in between")
    assert switches() == before


def test_only_networks_of_a_run_in_bf16_are_in_bf16() -> None:
    one = torch.ones(2, 2)
    for precision in PRECISIONS:
        with computing(precision):
            assert (one @ one).dtype == torch.float32
            with networks("cpu"):
                assert (one @ one).dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
            with exactly(), networks("cpu"):
                assert (one @ one).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16), networks("cpu"):  # of a training, which has its own
        assert (one @ one).dtype == torch.bfloat16
        with exactly():
            assert (one @ one).dtype == torch.float32


def test_a_thread_that_reads_for_a_run_leaves_its_switches(tiny: StyleGAN2) -> None:
    seen: list[tuple[bool, ...]] = []
    handle = tiny.register_forward_hook(lambda *_: seen.append(switches()))
    with computing("tf32"):
        thread = threading.Thread(target=lambda: Samples(tiny, 1).read([0]))
        thread.start(), thread.join()
        assert switches() == seen[0] == (True, True, True, False)
        Samples(tiny, 1).read([0])
    handle.remove()
    assert seen[1] == (False, False, True, False)


@pytest.mark.parametrize("own", [None, ":16:8"])
def test_the_door_fixes_the_workspace_of_products(own: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def compute() -> None:
        with computing("exact"):
            pass

    for enter in (fix_workspace, lambda: importlib.reload(cli), compute):
        if own is None:
            monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
        else:
            monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", own)
        enter()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == (own or ":4096:8")


# Projection


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> list[Moments]:
    """The states of all optimisations."""
    states: list[Moments] = []
    start = Adam.start

    def keep(self: Adam, *arguments: Any) -> Moments:
        states.append(start(self, *arguments))
        return states[-1]

    monkeypatch.setattr(Adam, "start", keep)
    return states


def test_casts_of_a_step_are_not_kept_until_the_run_ends() -> None:
    """Autocast forgets what it has cast when its outermost context ends, which is that of a whole run."""
    with computing("bf16"), networks("cpu"):
        assert torch.is_autocast_enabled("cpu") and not torch.is_autocast_cache_enabled()


@pytest.mark.parametrize("kind", [BestOf, Optimization])
def test_bf16_is_within_networks_alone_and_nearly_as_good(kind: type, tiny: StyleGAN2, spied: list[Moments]) -> None:
    eye = Eye()
    space = W(tiny, prior_samples=50)
    losses = {"pixel": Pixel(), "perceptual": Perceptual(eye, weight=0.1)}
    problem = Problem(space, losses, {"norm": LatentNorm(space, weight=1e-4)}, Adam(lr=0.1))
    target = tiny.synthesize(tiny.sample(2, torch.Generator().manual_seed(5), space="w"), "w")
    projector = BestOf(problem, 8, chunk=4) if kind is BestOf else Optimization(problem, steps=12)
    steps: list[Step] = []
    maps: list[torch.dtype] = []
    handle = tiny.layer("b8").register_forward_hook(lambda _m, _i, out: maps.append(out.dtype))
    found = {}
    for precision in ("exact", "bf16"):
        eye.seen.clear(), maps.clear()
        with computing(precision):
            found[precision] = project(problem, [projector], Targets({"image": target}, ["a", "b"]), [steps.append])
        wanted = torch.bfloat16 if precision == "bf16" else torch.float32
        assert set(maps) == {seen[0] for seen in eye.seen} == {wanted}
    handle.remove()
    exact, half = found["exact"], found["bf16"]
    assert {half.latent.dtype, half.image.dtype, half.loss.dtype, exact.loss.dtype} == {torch.float32}
    values = [value for step in steps for value in (step.terms.total, *step.terms.terms.values(), *step.v.values())]
    values += [value for state in spied for part in (state.first, state.second) for value in part.values()]
    assert {value.dtype for value in values} <= {torch.float32}
    assert not torch.equal(half.image, exact.image)
    psnr = [-10 * ((one.image - target) / 2).square().mean().log10() for one in (exact, half)]
    assert abs(psnr[0] - psnr[1]) < 0.5
    assert torch.equal(half.render(tiny), exact.render(tiny)) == torch.equal(half.latent, exact.latent)


def test_an_encoder_is_one_of_the_networks(tiny: StyleGAN2, guess: Callable[..., Any], images: Tensor) -> None:
    space = W(tiny, prior_samples=50)
    encoder = guess(space)
    with computing("exact"):
        exact = encoder(space, images)[-1]
    with computing("bf16"):
        half = encoder(space, images)[-1]
    assert half.dtype == torch.float32 and not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("own", [False, True])
def test_the_functions_of_stylegan2_have_their_gradients_under_autocast(own: bool) -> None:
    """Gradients are in the type of what they are of, and near those of single precision."""
    rng = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(2, size, 6, 6, generator=rng) for size in (4, 1))
    scale, bias = torch.rand(2, 4, generator=rng) + 0.5, torch.randn(*([2] if own else []), 4, generator=rng)
    mix, kernel = torch.randn(2, 3, 4, generator=rng), torch.rand(4, 4, generator=rng) / 16
    calls = {
        "activate": (lambda x, *others: Activate.apply(x * 1, *others), [x, scale, bias, noise]),
        "smooth": (lambda x: Smooth.apply(x, kernel, 1), [x]),
        "mix": (MixPixels.apply, [x, mix]),
    }
    for name, (function, arguments) in calls.items():
        gradients = []
        for half in (False, True):
            leaves = [value.clone().requires_grad_() for value in arguments]
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                inner = leaves[0].to(torch.bfloat16) if half else leaves[0]
                energy = function(inner, *leaves[1:]).float().square().sum()
            gradients.append(torch.autograd.grad(energy, leaves))
        for exact, coarse, leaf in zip(*gradients, arguments, strict=True):
            assert coarse.dtype == leaf.dtype and coarse.shape == leaf.shape, name
            assert (coarse - exact).abs().max() < 0.05 * exact.abs().max(), name


def test_bf16_is_refused_where_a_line_is_searched(config: Callable[..., DictConfig]) -> None:
    with pytest.raises(Unfit, match="precision: LBFGS compares values too close for bf16.*optimizer=adam"):
        make_job(config("precision=bf16", "optimizer=lbfgs"))
    for words in (["precision=tf32", "optimizer=lbfgs"], ["precision=bf16", "optimizer=adam"]):
        make_job(config(*words))


# Measures


class Watcher(AbstractMetric, AbstractEditability):
    """A metric, or a measure of editability, that notes what it is run with."""

    better = "lower"

    def __init__(self) -> None:
        self.eye = Eye()

    def __call__(self, image: Any, target: Tensor | None = None) -> Any:
        self.eye(image.images[0] if target is None else image)
        return {"watcher": torch.zeros(len(image))} if target is None else torch.zeros(len(image))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_measured_is_the_same_bits_in_all_precisions(precision: Any, images: Tensor, tmp_path: Path) -> None:
    other, eye = images.roll(1, 0), Eye()
    metrics = {"ssim": SSIM(), "perceptual": Judged(network=Eye()), "kid": KID(network=eye)}
    pictures = {"targets": to_uint8(images), "reconstructions": to_uint8(other)}
    with exactly():
        wanted = measure(metrics, images, other, Slices())
    with computing(precision):
        assert measure(metrics, images, other, Slices()) == wanted
        write_features(metrics, extract_features(metrics, pictures), list("abcd"), tmp_path)
    assert set(eye.seen) == set(metrics["perceptual"].distance.maps.network.seen) == {EXACT}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """What all eyes of ``Watcher`` note from here on."""
    seen: list[tuple[Any, ...]] = []
    forward = Eye.forward

    def note(self: Eye, images: Tensor) -> list[Tensor]:
        made = forward(self, images)
        seen.extend(self.seen)
        return made

    monkeypatch.setattr(Eye, "forward", note)
    yield seen


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_run_says_its_precision_and_measures_exactly(
    precision: str, config: Callable[..., DictConfig], watched: list[tuple[Any, ...]], capsys: pytest.CaptureFixture
) -> None:
    words = [
        f"+metric.watcher._target_={__name__}.Watcher", f"+editability.watcher._target_={__name__}.Watcher",
        "direction=[random]", "direction.random.count=1", "projector=[mean]", f"precision={precision}",
    ]  # fmt: skip
    before = switches()
    result = run(config(*words))
    assert result["precision"] == precision and result["device"] == "cpu" and switches() == before
    assert len(watched) == 2 and set(watched) == {EXACT}  # a batch of metrics and one of editability
    assert f"precision: {'TF32' if precision == 'tf32' else 'on a CPU'}" in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_an_edit_says_its_precision_and_measures_exactly(
    precision: str,
    composed: Callable[..., DictConfig],
    weights: str,
    tmp_path: Path,
    watched: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[Any, ...]] = []
    render = StyleGAN2.render

    def note(self: StyleGAN2, *arguments: Any) -> Tensor:
        with self.reading("b8") as features:
            image = render(self, *arguments)
        made.append((features["b8"].dtype, switches()[0], len(watched)))
        return image

    monkeypatch.setattr(StyleGAN2, "render", note)
    small = [word for word in SMALL if not word.startswith("data")]
    words = [
        *small, weights, "data=samples", "data.count=2", "space@search=w", "search.prior_samples=50", "frames=2",
        "direction=[random]", "direction.random.count=1", f"output={tmp_path}/edits", "strengths=2", "video=false",
        f"+editability.watcher._target_={__name__}.Watcher", "editability=[]", f"precision={precision}",
    ]  # fmt: skip
    result = edit(composed("edit", *words))
    assert result["precision"] == precision and result["device"] == "cpu"
    assert set(watched) == {EXACT}
    pictures = {(kind, tf32) for kind, tf32, seen in made[:2] if not seen}
    assert pictures == {(torch.bfloat16 if precision == "bf16" else torch.float32, precision == "tf32")}


def test_a_training_scores_exactly() -> None:
    seen: list[tuple[bool, ...]] = []
    task = Mock(spec=AbstractTask, done=3, evaluate=lambda data: {"psnr": float(not seen.append(switches()))})
    with computing("tf32"):
        Scores(Cottages(2, resolution=16), 1).score(task)
    assert seen == [(False, False, True, False)]


# Identity, and what all precisions have in common


def test_precision_is_part_of_what_a_run_is(config: Callable[..., DictConfig]) -> None:
    jobs = {name: make_job(config(f"precision={name}")) for name in PRECISIONS}
    assert len({job.key for job in jobs.values()}) == len({job.latents for job in jobs.values()}) == 3
    assert make_job(config()).key == jobs["exact"].key
    assert len({job.labels.protocol_hash for job in jobs.values()}) == 1  # rows of one board, which says so


def test_precision_is_part_of_what_an_edit_is(composed: Callable[..., DictConfig], weights: str) -> None:
    small = [word for word in SMALL if not word.startswith("data")]
    words = [*small, weights, "data=samples", "data.count=2", "direction=[random]", "space@search=w"]
    jobs = [make_edit_job(composed("edit", *words, "search.prior_samples=50", f"precision={p}")) for p in PRECISIONS]
    assert len({job.key for job in jobs}) == 3


def test_targets_and_statistics_are_the_same_in_all_precisions(
    tiny: StyleGAN2, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known() -> tuple[Tensor, Tensor, float]:
        monkeypatch.setattr(spaces, "ESTIMATES", {})
        space = W(tiny, prior_samples=50)
        return Samples(tiny, 2, space="w").read([0, 1]).images, space.mean, space.spread

    seen: list[tuple[bool, ...]] = []
    handle = tiny.mapping.register_forward_hook(lambda *_: seen.append(switches()))
    with exactly():
        wanted = known()
    for precision in PRECISIONS:
        with computing(precision):
            found = known()
        assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(found, wanted, strict=True))
    handle.remove()
    assert set(seen) == {(False, False, True, False)}
