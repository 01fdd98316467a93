"""A batch in slices is the batch: values, gradients, whole runs; memory that runs out halves them."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from zstar.config.build import build, to_plain
from zstar.generators.base import AbstractGenerator
from zstar.generators.checkpointing import checkpoint_blocks
from zstar.generators.pixels import Pixels
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.metrics.mse import MSE
from zstar.objective import Objective, Problem
from zstar.operators.mask import Mask
from zstar.optimizers.adam import Adam
from zstar.optimizers.base import value_and_gradient
from zstar.optimizers.lbfgs import LBFGS
from zstar.optimizers.slices import Slices
from zstar.projection.job import make_job
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.basin_cma import BasinCMA
from zstar.projectors.best_of import BestOf
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.projectors.weights import Weights
from zstar.regularizers.latent_norm import LatentNorm
from zstar.spaces.w_plus import WPlus

COUNT = 5


def targets() -> Targets:
    rng = torch.Generator().manual_seed(0)
    mask = (torch.rand(COUNT, 1, 16, 16, generator=rng) > 0.3).float()
    images = torch.rand(COUNT, 3, 16, 16, generator=rng) * 2 - 1
    return Targets({"image": images, "mask": mask}, [f"image-{i}" for i in range(COUNT)])


def problem_of(generator: AbstractGenerator, micro_batch: int | None = None, optimizer: Any = None) -> Problem:
    space = WPlus(generator, prior_samples=50)
    return Problem(
        space, {"pixel": Pixel()}, {"latent_norm": LatentNorm(space, 0.01)}, optimizer or Adam(lr=0.05),
        noise="optimize", operators={"mask": Mask()}, slices=Slices(micro_batch),
    )  # fmt: skip


@pytest.mark.parametrize("size", [1, 3, COUNT])
def test_values_and_gradients_are_those_of_the_whole(size: int, tiny: AbstractGenerator) -> None:
    found = []
    for micro_batch in (None, size):
        problem = problem_of(tiny, micro_batch)
        objective = Objective(problem, targets())
        v = problem.start(objective.targets)
        v = {name: value + 0.1 for name, value in v.items()}
        values, slopes = value_and_gradient(lambda point, objective=objective: objective(point).total, v)
        with torch.no_grad():
            terms = objective(v)
        found.append([values, *slopes.values(), terms.total, terms.image, *terms.terms.values()])
    for whole, sliced in zip(*found, strict=True):
        torch.testing.assert_close(sliced, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", [Adam(lr=0.05), LBFGS()], ids=["adam", "lbfgs"])
def test_a_run_in_slices_is_the_run(optimizer: Any, tiny: AbstractGenerator) -> None:
    def chain(problem: Problem) -> list:
        last = [Weights(problem, steps=2)] if isinstance(optimizer, Adam) else []
        return [Mean(problem), BestOf(problem, candidates=4, chunk=2), Optimization(problem, steps=4), *last]

    runs = []
    for micro_batch in (None, 2):
        problem = problem_of(tiny, micro_batch, optimizer)
        runs.append(project(problem, chain(problem), targets()))
    whole, sliced = runs
    assert whole.v.keys() == sliced.v.keys() and whole.evaluations.tolist() == sliced.evaluations.tolist()
    torch.testing.assert_close(sliced.loss, whole.loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sliced.image, whole.image, rtol=1e-3, atol=1e-3)


class Tape:
    """Stands for CUDA graphs: replaying does the recorded work again on the recorded places."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        work()

        def replay() -> None:
            self.replayed += 1
            work()

        return replay


@pytest.mark.parametrize("optimizer", [Adam(lr=0.05), LBFGS()], ids=["adam", "lbfgs"])
@pytest.mark.parametrize("size", [None, 2])
def test_a_recorded_run_is_the_run(
    size: int | None, optimizer: Any, tiny: AbstractGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded once for each slice and replayed in each step, on inputs in places that stay."""
    tape = Tape()
    monkeypatch.setattr("zstar.optimizers.graphs.record_cuda", tape)
    plain = problem_of(tiny, size, optimizer)
    graph = replace(plain, graph=True)
    runs = [project(problem, [Mean(problem), Optimization(problem, steps=4)], targets()) for problem in (plain, graph)]
    torch.testing.assert_close(runs[1].loss, runs[0].loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(runs[1].history["total"], runs[0].history["total"], rtol=1e-5, atol=1e-6)
    slices = 1 if size is None else 3
    assert (tape.recorded, tape.replayed) == (slices, 4 * slices)


def test_a_graph_needs_a_gpu(composed: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"^compile: graph records the kernels of a GPU and this run is on cpu"):
        make_job(composed("invert", "compile=graph", "device=cpu", "logger=none"))


def limit(
    generator: AbstractGenerator, most: int, monkeypatch: pytest.MonkeyPatch, backward: bool = False
) -> list[int]:
    """Let memory run out where more than ``most`` images are made at once; returns the sizes that were tried."""
    synthesize, tried = generator.synthesize, []

    class Heavy(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, images: Tensor) -> Tensor:
            return images.clone()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            if len(grad) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore words")
            return grad

    def limited(latent: Tensor, *rest: Any) -> Tensor:
        tried.append(len(latent))
        if len(latent) > most and not backward:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore words")
        images = synthesize(latent, *rest)
        return Heavy.apply(images) if backward else images

    monkeypatch.setattr(generator, "synthesize", limited)
    return tried


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_memory_that_runs_out_is_halved_and_nothing_is_lost(
    backward: bool, tiny: AbstractGenerator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    generator = copy.deepcopy(tiny)
    problem = problem_of(generator)
    whole = project(problem, [Mean(problem), Optimization(problem, steps=3)], targets())
    limit(generator, 2, monkeypatch, backward)
    problem = problem_of(generator)
    found = project(problem, [Mean(problem), Optimization(problem, steps=3)], targets())
    torch.testing.assert_close(found.loss, whole.loss, rtol=1e-4, atol=1e-5)
    assert found.evaluations.tolist() == whole.evaluations.tolist()
    assert found.history["total"].shape == whole.history["total"].shape
    said = capsys.readouterr().out
    assert said.count("going on with 2") == 1 and "5 images at once" in said


@pytest.mark.slow
def test_what_one_batch_has_learned_of_memory_holds_for_the_next(
    composed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Optimisation and measuring run out of memory once each in a run of two batches, and not once a batch."""
    cfg = composed(
        "invert", "logger=none", "device=cpu", "projector=[optimization]", "loss=[pixel]", "metric=[mse]",
        "data.count=8", "batch_size=4", "optimizer=adam", "steps=2", f"output={tmp_path}",
    )  # fmt: skip
    generator = build(to_plain(cfg)["generator"], at="generator")
    limit(generator, 2, monkeypatch)
    squared = MSE.__call__

    def limited(metric: MSE, image: Tensor, target: Tensor) -> Tensor:
        if len(image) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return squared(metric, image, target)

    monkeypatch.setattr(MSE, "__call__", limited)
    run(cfg, generator=generator)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("micro_batch:")]
    halved = [
        f"micro_batch: memory ran out with {size} images at once; going on with {size // 2}" for size in (4, 4, 2)
    ]
    assert said == halved


def test_an_image_that_does_not_fit_is_one_sentence(tiny: AbstractGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = copy.deepcopy(tiny)
    problem = problem_of(generator)
    limit(generator, 0, monkeypatch)
    with pytest.raises(ValueError, match=r"^micro_batch: not even one image fits.*2\.00 GiB.*device=cpu$"):
        project(problem, [Mean(problem), Optimization(problem, steps=3)], targets())


def test_another_error_is_none_of_memory(tiny: AbstractGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    generator, problem = tiny, problem_of(tiny)
    monkeypatch.setattr(generator, "synthesize", lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        project(problem, [Mean(problem)], targets())


@pytest.mark.parametrize("kind", ["best_of", "cma"])
def test_candidates_take_the_memory_of_a_batch(
    kind: str, tiny: AbstractGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many candidates there are, no more images are in memory at once than optimisation has."""
    generator = copy.deepcopy(tiny)
    problem = problem_of(generator)
    tried = limit(generator, 16, monkeypatch)
    make: Callable[[], Any] = {
        "best_of": lambda: BestOf(problem, candidates=40),
        "cma": lambda: BasinCMA(problem, generations=1, steps=1, population=40),
    }[kind]
    found = project(problem, [make()], targets())
    assert found.status == ["done"] * COUNT and max(tried) <= 16


def saved_for_backward(work: Callable[[], Any]) -> int:
    """Bytes that autograd keeps between the two passes, and what ``work`` made."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        work()
    return sum(kept.values())


@pytest.mark.parametrize("free", ["latent", "weights", "features"])
def test_checkpointing_changes_the_memory_alone(free: str, tiny: AbstractGenerator) -> None:
    """Gradients of the latent, of each image's own weights and of its feature maps are those without it."""
    plain, again = copy.deepcopy(tiny), copy.deepcopy(tiny)
    checkpoint_blocks(again)
    v = {"latent": plain.sample(2, torch.Generator().manual_seed(0), space="w_plus")}
    if free == "weights":
        theta = dict(plain.named_parameters())["synthesis.b16.conv0.weight"]
        v["weights/synthesis.b16.conv0.weight"] = 0.01 * torch.randn(2, *theta.shape)
    if free == "features":
        with plain.reading("b8") as seen:
            plain.render(v, "w_plus")
        v["features/b8"] = torch.zeros_like(seen["b8"])
    found, kept = [], []
    for generator in (plain, again):
        leaves = {name: value.clone().requires_grad_() for name, value in v.items()}
        made: list[Tensor] = []
        kept.append(saved_for_backward(lambda g=generator, w=leaves, m=made: m.append(g.render(w, "w_plus"))))
        found.append([made[0], *torch.autograd.grad(made[0].square().sum(), list(leaves.values()))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)
    assert kept[1] < kept[0] * (0.9 if free == "features" else 0.5), kept


def test_a_generator_without_blocks_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"^checkpointing: Pixels has no blocks"):
        checkpoint_blocks(Pixels(16))


def test_features_of_targets_that_are_too_large_to_keep_are_computed_for_each_slice(
    tiny: AbstractGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are the same, and looked at anew in each evaluation; of a whole batch they are kept in any case."""
    values, looks = [], []
    for kept, micro_batch in ((1 << 30, 2), (0, 2), (0, None)):
        monkeypatch.setattr("zstar.objective.KEPT", kept)
        loss, seen = Pixel(), []
        features = loss.features
        monkeypatch.setattr(loss, "features", lambda image, f=features, s=seen: (s.append(len(image)), f(image))[1])
        problem = replace(problem_of(tiny, micro_batch), losses={"pixel": loss})
        objective = Objective(problem, targets())
        v = problem.start(objective.targets)
        seen.clear()
        values.append(objective(v).total)
        looks.append(sum(seen))
    torch.testing.assert_close(values[1], values[0])
    torch.testing.assert_close(values[2], values[0])
    assert looks == [COUNT, 2 * COUNT, COUNT]
