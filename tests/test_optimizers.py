"""Optimizers reach minima, and a batch follows the trajectories of its images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.optimize import minimize, rosen, rosen_der
from torch import Tensor

from zstar.config.build import build
from zstar.optimizers.adam import Adam
from zstar.optimizers.base import AbstractOptimizer
from zstar.optimizers.lbfgs import LBFGS
from zstar.optimizers.schedule import noise_scale, ramp

CONF = Path(__file__).parents[1] / "conf" / "optimizer"
NAN = float("nan")
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))


def solve(
    optimizer: AbstractOptimizer,
    objective: Callable[[list[Tensor]], Tensor],
    starts: list[Tensor],
    steps: int,
    rates: list[float] | None = None,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Variables after the last step, value before each step ``[b, t]``, evaluations ``[b]``."""
    variables = {str(place): start.clone() for place, start in enumerate(starts)}
    sizes = dict(zip(variables, rates or [], strict=False))
    state, values, spent = optimizer.start(variables, sizes), [], torch.zeros(len(starts[0]), dtype=torch.long)
    for index in range(steps):
        value, count = optimizer.step(variables, state, lambda v: objective(list(v.values())), index / steps)
        assert not value.requires_grad and not any(v.requires_grad for v in variables.values())
        values.append(value)
        spent += count
    return list(variables.values()), torch.stack(values, dim=1), spent


class Problems:
    """A different problem for each image, over two variables of different shape: bowls of many shapes, and valleys."""

    def __init__(self, n: int, dtype: torch.dtype = torch.float64, quadratic: bool = False) -> None:
        self.quadratic = quadratic  # with straight valleys
        rng = torch.Generator().manual_seed(7)
        self.scale = torch.logspace(-1, 1, 6, dtype=dtype).repeat(n, 1) ** torch.rand(n, 1, generator=rng).to(dtype)
        self.goal = torch.randn(n, 6, generator=rng).to(dtype)
        self.valley = torch.linspace(1, 40, n, dtype=dtype)
        self.starts = [torch.randn(n, 2, 3, generator=rng).to(dtype), torch.randn(n, 2, generator=rng).to(dtype)]

    def pick(self, images: slice) -> "Problems":
        part = object.__new__(Problems)
        part.quadratic = self.quadratic
        part.scale, part.goal, part.valley = self.scale[images], self.goal[images], self.valley[images]
        part.starts = [start[images] for start in self.starts]
        return part

    def __call__(self, variables: list[Tensor]) -> Tensor:
        bowl = (self.scale * (variables[0].flatten(1) - self.goal).square()).sum(dim=1)
        x, y = variables[1].unbind(dim=1)
        if self.quadratic:
            return bowl + self.valley * (y - x).square() + (1 - x).square()
        return bowl + self.valley * (y - x.square()).square() + (1 - x).square()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_exactly_its_images(name: str) -> None:
    cfg = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    problems = Problems(8, quadratic=build(cfg).quadratic)
    together = solve(build(cfg), problems, problems.starts, 60)
    for index in range(8):
        part = problems.pick(slice(index, index + 1))
        alone = solve(build(cfg), part, part.starts, 60)
        for found, expected in zip([*together[0], together[1]], [*alone[0], alone[1]], strict=True):
            torch.testing.assert_close(found[index : index + 1], expected, rtol=1e-5, atol=1e-5)
        assert together[2][index] == alone[2][0] == 60


@pytest.mark.parametrize("name", NAMES)
def test_reaches_the_minimum(name: str) -> None:
    optimizer = build(yaml.safe_load((CONF / f"{name}.yaml").read_text()))
    problems = Problems(8, torch.float32, optimizer.quadratic)
    _, values, _ = solve(optimizer, problems, problems.starts, 600 if name == "adam" else 120)
    assert (values.amin(dim=1) < 1e-3 * values[:, 0]).all()
    if name != "adam":
        assert (values.amin(dim=1) < 1e-6).all()


def test_adam_equals_torch() -> None:
    problems = Problems(3)
    ours, values, _ = solve(Adam(lr=0.05, ramp_up=0.0, ramp_down=0.0), problems, problems.starts, 30)
    theirs = [start.clone().requires_grad_() for start in problems.starts]
    reference = torch.optim.Adam(theirs, lr=0.05)
    for step in range(30):
        reference.zero_grad()
        total = problems(theirs)
        torch.testing.assert_close(values[:, step], total.detach())
        total.sum().backward()
        reference.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b.detach())


def test_adam_follows_its_ramp() -> None:
    """With a constant gradient Adam moves by the step size itself."""
    moved, variables, optimizer = [], {"x": torch.zeros(1, 1)}, Adam(lr=0.2, ramp_up=0.1, ramp_down=0.5)
    state = optimizer.start(variables, {})
    for index in range(20):
        before = variables["x"].item()
        optimizer.step(variables, state, lambda v: v["x"].sum(dim=1), index / 20)
        moved.append(before - variables["x"].item())
    expected = [0.2 * ramp(index / 20, 0.1, 0.5) for index in range(20)]
    assert moved == pytest.approx(expected, abs=1e-5)
    assert moved[0] == 0 and moved[5] == pytest.approx(0.2, abs=1e-5) and moved[19] < 0.01


@pytest.mark.parametrize("dimension", [2, 10])
def test_lbfgs_spends_what_scipy_spends(dimension: int) -> None:
    # Rosenbrock's function has a second minimum where its first coordinate is negative.
    starts = 2 * torch.rand(8, dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def rosenbrock(variables: list[Tensor]) -> Tensor:
        x = variables[0]
        return (100 * (x[:, 1:] - x[:, :-1].square()).square() + (1 - x[:, :-1]).square()).sum(dim=1)

    _, values, _ = solve(LBFGS(), rosenbrock, [starts], 200)
    assert (values.amin(dim=1) < 1e-8).all()
    ours = (values < 1e-8).long().argmax(dim=1) + 1
    theirs = []
    for start in starts.numpy():
        seen: list[float] = []

        def counted(x: np.ndarray, seen: list[float] = seen) -> float:
            seen.append(rosen(x))
            return seen[-1]

        minimize(counted, start, jac=rosen_der, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-12})
        theirs.append(int(np.argmax(np.array(seen) < 1e-8)) + 1)
    assert ours.float().mean() < 1.25 * np.mean(theirs), (ours.tolist(), theirs)


def test_lbfgs_never_takes_a_point_that_is_worse() -> None:
    """On a rough function in single precision, with values that are not numbers beyond a wall."""
    variables, optimizer = {"x": 3 * torch.randn(16, 5)}, LBFGS()
    state = optimizer.start(variables, {})

    def rough(v: dict[str, Tensor]) -> Tensor:
        value = (v["x"].square() + 2 * (3 * v["x"]).sin()).sum(dim=1)
        return torch.where(v["x"].abs().amax(dim=1) > 12, torch.nan, value)

    taken = []
    for index in range(80):
        optimizer.step(variables, state, rough, index / 80)
        taken.append(state.value.clone())
        torch.testing.assert_close(rough({"x": state.point}), state.value, rtol=0, atol=0)
    taken = torch.stack(taken)
    assert (taken[1:] <= taken[:-1]).all() and (taken[-1] < taken[0] - 1).all()
    assert (state.gradient.abs().amax(dim=1) < 0.05).all()


def test_the_first_trial_of_lbfgs_is_as_far_as_documented() -> None:
    variables, optimizer = {"x": torch.full((3, 4), 5.0)}, LBFGS(lr=0.25)
    state = optimizer.start(variables, {})
    optimizer.step(variables, state, lambda v: v["x"].square().sum(dim=1), 0.0)
    torch.testing.assert_close((variables["x"] - 5).norm(dim=1), torch.full((3,), 0.25))


def test_lbfgs_ends_at_its_best_point() -> None:
    problems = Problems(8)
    variables = {str(place): start.clone() for place, start in enumerate(problems.starts)}
    optimizer = LBFGS()
    state, least = optimizer.start(variables, {"1": 0.5}), torch.full((8,), torch.inf)
    for index in range(9):
        values, _ = optimizer.step(variables, state, lambda v: problems(list(v.values())), index / 9)
        least = torch.minimum(least, values.float())
    optimizer.finish(variables, state)
    torch.testing.assert_close(problems(list(variables.values())).float(), least)


def test_lbfgs_copes_with_a_loop_that_moves_its_points() -> None:
    """A space may bring each new point back into bounds: then the minimum inside the bounds is found."""
    goal = torch.tensor([[2.0, 0.3], [0.2, -3.0]])
    variables, optimizer = {"x": torch.zeros(2, 2)}, LBFGS()
    state = optimizer.start(variables, {})
    for index in range(40):
        optimizer.step(variables, state, lambda v: (v["x"] - goal).square().sum(dim=1), index / 40)
        variables["x"].clamp_(-1, 1)
    torch.testing.assert_close(state.point, goal.clamp(-1, 1), rtol=0, atol=1e-3)


def test_schedules() -> None:
    assert [ramp(f, 0.05, 0.25) for f in (0.0, 0.025, 0.05, 0.5, 0.75)] == pytest.approx([0, 0.5, 1, 1, 1])
    assert ramp(0.875, 0.05, 0.25) == pytest.approx(0.5) and ramp(1.0, 0.05, 0.25) == pytest.approx(0)
    assert [noise_scale(f) for f in (0.0, 0.375, 0.75, 1.0)] == pytest.approx([1, 0.25, 0, 0])


def test_wrong_settings_name_their_key() -> None:
    for make in (lambda: Adam(betas=[0.9]), lambda: Adam(ramp_up=0.7, ramp_down=0.7), lambda: Adam(betas=[0.9, NAN])):
        with pytest.raises(ValueError, match="^optimizer.*;|^optimizer.*must"):
            make()
    for make, sentence in [
        (lambda: Adam(lr=0.0), "optimizer.lr: 0.0 is not possible; set it to a number above 0"),
        (lambda: Adam(lr=-1.0), "optimizer.lr: -1.0 is not possible; set it to a number above 0"),
        (lambda: Adam(lr=NAN), "optimizer.lr: nan is not finite; set it to a number above 0"),
        (lambda: LBFGS(lr=float("inf")), "optimizer.lr: inf is not finite; set it to a number above 0"),
        (lambda: LBFGS(history=0), "optimizer.history: 0 is not possible; set it to 1 or more"),
        (lambda: LBFGS(max_line_search=0), "optimizer.max_line_search: 0 is not possible; set it to 1 or more"),
    ]:
        with pytest.raises(ValueError) as error:
            make()
        assert str(error.value) == sentence
    with pytest.raises(ValueError, match="^optimizer.ramp_up"):
        Adam(ramp_up=NAN)


@pytest.mark.parametrize("optimizer", [Adam(lr=0.05, ramp_up=0, ramp_down=0), LBFGS()], ids=["adam", "lbfgs"])
def test_a_variable_may_have_a_step_size_of_its_own(optimizer: AbstractOptimizer) -> None:
    """Of two variables that play the same part, one whose steps are a thousandth hardly moves meanwhile."""
    goal, starts = torch.tensor([[1.0, -2.0]]), [torch.zeros(1, 2), torch.zeros(1, 2)]

    def bowls(v: list[Tensor]) -> Tensor:
        return sum((x - goal).square().sum(dim=1) for x in v)

    (quick, slow), _, _ = solve(optimizer, bowls, starts, 2, rates=[optimizer.lr, optimizer.lr / 1000])
    assert (slow.abs() < 0.05 * quick.abs()).all() and (quick.abs() > 0.05).all()
    same, _, _ = solve(optimizer, bowls, starts, 4, rates=[optimizer.lr] * 2)
    torch.testing.assert_close(same, solve(optimizer, bowls, starts, 4)[0])
