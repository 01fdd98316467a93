"""A budget: no method spends more than it, each is cut in its own proportions, and schedules come to their end."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conditional import conditional

from zstar.config.build import offer
from zstar.encoders.base import EncoderSpec
from zstar.encoders.resnet import ResNet
from zstar.encoders.restyle import ReStyle
from zstar.encoders.trained import TrainedEncoder
from zstar.generators.glow import Glow
from zstar.generators.pixels import Pixels
from zstar.inversion import minimize
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.optimizers.lbfgs import LBFGS
from zstar.projection.budget import fit, iterates
from zstar.projectors.base import AbstractProjector, project
from zstar.projectors.encoder import Encoder
from zstar.regularizers.base import AbstractRegularizer
from zstar.regularizers.in_domain import InDomain
from zstar.regularizers.locality import Locality
from zstar.spaces.base import AbstractSpace
from zstar.spaces.pixels import Pixels as PixelSpace
from zstar.spaces.z import Z

CONF = Path(__file__).parents[1] / "conf" / "projector"
PROJECTORS = sorted(path.stem for path in CONF.glob("*.yaml"))
PICTURES = {"analogy", "copy", "poisson", "recolour", "multiscale"}  # projectors of generator=pixels
SHORT = {
    "analogy": ["projector.analogy.style=image"],
    "multiscale": ["projector.multiscale.smallest=8"], "poisson": ["projector.poisson.source=image"],
    "best_of": ["projector.best_of.candidates=7"], "cma": ["projector.cma.generations=3"],
    "basin_cma": ["projector.basin_cma.generations=2", "projector.basin_cma.steps=3"],
    "weights": ["projector.weights.steps=8"], "features": ["projector.features.steps=8"],
    "starts": ["projector.starts.count=12"], "classes": ["projector.classes.draws=5"],
}  # fmt: skip


@pytest.fixture
def unlearned(tiny: Any) -> Any:
    """The generator, said to have learned nothing: any projector takes it, also one that is for such alone."""
    generator = copy.deepcopy(tiny)
    generator.learned = False
    return generator


@pytest.fixture
def problem(unlearned: Any) -> Problem:
    return Problem(Z(unlearned, prior_samples=100), {"pixel": Pixel()}, {}, Adam(lr=0.05))


@pytest.fixture
def targets() -> Targets:
    named = {"image": torch.rand(2, 3, 16, 16) * 2 - 1, "mask": torch.ones(2, 1, 16, 16)}
    named |= {"points": torch.tensor([[1.0, 8.0], [15.0, 8.0]]).expand(2, 1, 2, 2), "movable_mask": named["mask"]}
    return Targets(named, ["a", "b"])


def space_for(name: str, generator: Any) -> AbstractSpace:
    """One that a projector is for."""
    if name == "exact":
        torch.manual_seed(1)  # the same one each time
        return Z(Glow(resolution=16, num_flows=1, width=8), prior_samples=100)
    if name in PICTURES:
        return PixelSpace(Pixels(16))
    return Z(conditional() if name == "classes" else generator, prior_samples=100)


@pytest.fixture
def make(
    composed: Callable[..., Any], guess: Any, targets: Targets, finished: Callable[..., str]
) -> Callable[..., list[AbstractProjector]]:
    def chain(problem: Problem, names: list[str], *words: str) -> list[AbstractProjector]:
        words = (*words, *([finished(problem, targets)] if "saved" in names else []))
        words = (*words, *[word for name in names for word in SHORT.get(name, [])])
        nodes = composed("invert", f"projector=[{','.join(names)}]", *words).projector
        return [offer(node, problem=problem, encoder=guess(problem.space)) for node in nodes.values()]

    return chain


@pytest.mark.parametrize("name", PROJECTORS)
def test_a_projector_says_what_it_costs(name: str, unlearned: Any, targets: Targets, make: Any) -> None:
    problem = Problem(space_for(name, unlearned), {"pixel": Pixel()}, {}, Adam(lr=0.05))
    [projector] = make(problem, [name], "steps=4")
    assert (project(problem, [projector], targets).evaluations == projector.cost).all()
    short = projector.scaled(0.4)
    assert (project(problem, [short], targets).evaluations == short.cost).all()
    assert (short.cost < projector.cost) == iterates(projector)
    assert projector.scaled(1.0).cost == projector.cost and projector.scaled(1e-9).cost >= 1


@pytest.mark.parametrize("name", PROJECTORS)
def test_a_projector_says_whether_it_is_random(name: str, unlearned: Any, targets: Targets, make: Any) -> None:
    found = []
    for seed in (0, 1):
        problem = Problem(space_for(name, unlearned), {"pixel": Pixel()}, {}, Adam(lr=0.05), seed)
        projectors = make(problem, [name], "steps=4")
        found.append(project(problem, projectors, targets).loss)
    assert found[0].equal(found[1]) != projectors[0].random


def test_exploration_is_random(problem: Problem, make: Any) -> None:
    assert make(problem, ["optimization"], "projector.optimization.explore=0.1")[0].random


@pytest.mark.parametrize(
    "budget", [30, pytest.param(50, marks=pytest.mark.slow), 87, pytest.param(200, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("names", [["mean", "optimization"], ["cma", "optimization"], ["best_of", "optimization"]])
def test_a_chain_spends_no_more_than_its_budget(
    names: list[str], budget: int, problem: Problem, targets: Targets, make: Any
) -> None:
    words = ["steps=100", "projector.cma.generations=50"][: 1 + ("cma" in names)]
    chain = make(problem, names, *words)
    for projector in chain:  # the words of SHORT come last
        if hasattr(projector, "candidates"):
            projector.candidates = 500
    short = fit(chain, budget)
    whole = sum(projector.cost for projector in chain)
    spent = int(project(problem, short, targets).evaluations[0])
    assert spent <= min(budget, whole)
    assert spent >= min(0.6 * budget, whole), "a budget is used as far as whole generations allow"
    if len({projector.cost for projector in chain}) == 2 and names[0] == "best_of":
        shares = [new.cost / old.cost for new, old in zip(short, chain, strict=True)]
        assert shares[0] == pytest.approx(shares[1], abs=0.1), "all parts are cut alike"


def test_what_goes_on_with_weights_pays_for_their_regularizers(problem: Problem, targets: Targets, make: Any) -> None:
    held = replace(problem, regularizers={"locality": Locality(problem.space)})
    chain = make(held, ["weights", "optimization"], "steps=20")
    whole = fit(chain)
    assert project(held, whole, targets).evaluations.max() <= sum(projector.cost for projector in whole)
    assert 40 <= project(held, fit(chain, 60), targets).evaluations.max() <= 60


@pytest.mark.parametrize("names", [["basin_cma"], ["basin_cma", "optimization"], ["optimization", "basin_cma"]])
def test_generations_leave_nothing_over_that_others_can_use(names: list[str], problem: Problem, make: Any) -> None:
    """As on a board: 18 candidates, 30 generations of 30 steps, within 150 evaluations."""
    chain = make(problem, names, "steps=300")
    for projector in chain:
        if "basin" in type(projector).__name__.lower():
            projector.steps, projector.search = 30, replace(projector.search, generations=30, population=18)
    spent = sum(projector.cost for projector in fit(chain, 150))
    assert spent == 150 if len(names) == 2 else 140 < spent <= 150


@pytest.mark.parametrize("name", PROJECTORS)
def test_syntheses_of_regularizers_and_encoders_count(name: str, unlearned: Any, targets: Targets, make: Any) -> None:
    class Twice(AbstractRegularizer):
        syntheses = 2

        def __call__(self, v: Any, image: torch.Tensor) -> torch.Tensor:
            return image.new_zeros(len(image))

    space = space_for(name, unlearned)
    plain, priced = (Problem(space, {"pixel": Pixel()}, reg, Adam(lr=0.05)) for reg in ({}, {"twice": Twice(space)}))
    [cheap], [dear] = (make(problem, [name], "steps=4") for problem in (plain, priced))
    assert (project(priced, [dear], targets).evaluations == dear.cost).all() and dear.cost == 3 * cheap.cost


def test_a_network_that_compares_synthesizes_before_each_pass(problem: Problem, targets: Targets) -> None:
    network = ReStyle(EncoderSpec.of(problem.space), partial(ResNet, width=8, width_max=8), passes=3)
    encoder = TrainedEncoder(network.eval().requires_grad_(False), "z")
    made, render = [], problem.generator.synthesize
    problem.generator.synthesize = lambda latent, *rest: (made.append(1), render(latent, *rest))[1]
    for passes in (None, 2):
        made.clear()
        projector = Encoder(problem, encoder, passes)
        found = project(problem, [projector], targets)
        assert found.evaluations.tolist() == [projector.cost] * 2 == [len(made)] * 2 == [(passes or 3) + 1] * 2
    del problem.generator.synthesize
    assert InDomain(problem.space, encoder).syntheses == 3


def test_nothing_is_made_longer_and_no_budget_changes_nothing(problem: Problem, make: Any) -> None:
    chain = make(problem, ["mean", "optimization"], "steps=20")
    assert fit(chain, 10_000) == chain and fit(chain) == chain


def test_a_budget_that_is_too_small_is_refused_with_the_least(problem: Problem, make: Any) -> None:
    chain = make(problem, ["basin_cma", "optimization"])
    least = sum(projector.scaled(1e-12).cost for projector in chain)
    with pytest.raises(ValueError, match=f"budget.evaluations: {least - 1} is too little.*takes {least} "):
        fit(chain, least - 1)
    assert sum(projector.cost for projector in fit(chain, least)) == least


def test_schedules_reach_their_end_within_the_budget(problem: Problem, targets: Targets, make: Any) -> None:
    seen: list[float] = []

    class Watched(Adam):
        def step(self, variables: Any, state: Any, objective: Any, fraction: float) -> Any:
            seen.append(fraction)
            return super().step(variables, state, objective, fraction)

    watched = Problem(problem.space, problem.losses, {}, Watched(lr=0.05))
    project(watched, fit(make(watched, ["mean", "optimization"], "steps=1000"), 30), targets)
    assert len(seen) == 27 and seen[-1] == pytest.approx(26 / 27)


@pytest.mark.parametrize("optimizer", [Adam(lr=0.05), LBFGS()], ids=["adam", "lbfgs"])
def test_the_loop_ends_when_its_time_is_over(
    optimizer: Any, problem: Problem, targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(float(second) for second in range(10_000))
    monkeypatch.setattr("zstar.inversion.clock", lambda device, wait=True: next(now))
    timed = Problem(problem.space, problem.losses, {}, optimizer)
    objective = Objective(timed, targets)
    fractions: list[float] = []
    step = optimizer.step
    monkeypatch.setattr(optimizer, "step", lambda v, s, o, f: (fractions.append(f), step(v, s, o, f))[1])
    v = {"latent": timed.space.start(2)}
    found = minimize(objective, v, timed.groups(v), 1000, seconds=5.0)  # ten for the batch, one at each look
    assert fractions == pytest.approx([0.0, *[second / 10 for second in range(1, 10)]])
    assert found.history["total"].shape[1] == 11 and found.status == ["done", "done"]
    fractions.clear()
    minimize(objective, v, timed.groups(v), 3, seconds=5000.0)
    assert fractions == pytest.approx([0, 1 / 3, 2 / 3], abs=1e-3), "the steps end first"


def test_seconds_go_to_the_parts_that_iterate(problem: Problem, make: Any) -> None:
    chain = fit(make(problem, ["mean", "best_of", "optimization"], "steps=14"), seconds=3.0)
    assert chain[0].seconds is None
    first, second = chain[1].cost, chain[2].cost
    assert chain[1].seconds == pytest.approx(3 * first / (first + second))
    assert chain[1].seconds + chain[2].seconds == pytest.approx(3.0)


def test_generations_end_when_their_time_is_over(
    problem: Problem, targets: Targets, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    [whole] = make(problem, ["cma"])
    assert (project(problem, [whole.timed(1e-9)], targets).evaluations == 2 + 12).all(), "one generation there is"
