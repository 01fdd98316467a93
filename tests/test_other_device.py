"""Everything runs on a second device as on the CPU, and a step of the loop neither waits for it nor copies to it."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_device
import pytest
import torch
import yaml
from fake_device import FakeDevice, Seen
from torch import Tensor

from zstar.callbacks import BestSoFar, EarlyStop
from zstar.config.build import build, offer
from zstar.data.cottages import Cottages
from zstar.directions.random import Random
from zstar.editability.base import Traversal
from zstar.encoders.trained import TrainedEncoder
from zstar.generators.base import AbstractGenerator
from zstar.inversion import minimize
from zstar.losses.pixel import Pixel
from zstar.metrics.base import AbstractSetMetric
from zstar.objective import Objective, Problem, Targets
from zstar.optimizers.adam import Adam
from zstar.optimizers.base import AbstractOptimizer
from zstar.optimizers.lbfgs import LBFGS
from zstar.projectors.optimization import Optimization
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus

pytestmark = pytest.mark.skipif(not fake_device.available(), reason="needs a torch that can pretend a device")

CONF = Path(__file__).parents[1] / "conf"
SIZE = 16
FILES = {"identity", "moco", "squeezenet11", "vgg19"}  # losses whose networks are no part of the project


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def node(group: str, name: str) -> dict[str, Any]:
    """A component's file."""
    content = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    return content.get(name, content)


@pytest.fixture
def device() -> Iterator[FakeDevice]:
    with FakeDevice() as device:
        yield device


@pytest.fixture
def there(device: FakeDevice, tiny: AbstractGenerator) -> AbstractGenerator:
    """The tiny StyleGAN2 on the device."""
    return copy.deepcopy(tiny).to(device.name)


def targets(device: FakeDevice, size: int = SIZE) -> Targets:
    rng = torch.Generator().manual_seed(0)
    mask = torch.ones(2, 1, size, size)
    mask[:, :, : size // 4] = 0
    named = {"image": torch.rand(2, 3, size, size, generator=rng) * 2 - 1, "mask": mask}
    return Targets({name: value.to(device.name) for name, value in named.items()}, ["a", "b"])


def per_step(device: FakeDevice, work: Callable[[int], Any]) -> Seen:
    """What two more steps do, beside the one at whose end the loop looks whether all has ended, which is the tenth."""
    counted = []
    work(1)  # what is done once and kept
    for steps in (1, 3):
        with device.watching() as seen:
            work(steps)
        counted.append(seen)
    few, many = counted
    return Seen(*(getattr(many, kind) - getattr(few, kind) for kind in ("launches", "waits", "copies")))


def require_no_stop(seen: Seen) -> None:
    assert not seen.waits and not seen.copies, f"waits {dict(seen.waits)}, copies {dict(seen.copies)}"


def test_a_device_refuses_what_a_device_refuses(device: FakeDevice) -> None:
    """The instrument itself: numbers as on the CPU, mixtures refused, waits and copies counted."""
    here = torch.linspace(0, 1, 4)
    with device.watching() as seen:
        away = here.to(device.name)
        assert away.device.type == fake_device.NAME and seen.copies.total() == 1
        assert torch.equal((away * 2).sin().cpu(), (here * 2).sin()) and seen.waits.total() == 1
        assert bool(away.any()) and seen.waits.total() == 2
    for mixed in (
        lambda: away + here,
        lambda: torch.where(away > 0, away, here),
        lambda: torch.randn(4, generator=torch.Generator(), device=device.name),
        away.numpy,
    ):
        with pytest.raises((RuntimeError, TypeError)):
            mixed()
    drawn = torch.randn(4, generator=torch.Generator(device.name).manual_seed(1), device=device.name)
    assert torch.equal(drawn.cpu(), torch.randn(4, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("optimizer", [Adam(lr=0.01), LBFGS()], ids=["adam", "lbfgs"])
@pytest.mark.parametrize("space", names("space"))
def test_a_step_neither_waits_nor_copies(
    space: str, optimizer: AbstractOptimizer, device: FakeDevice, there: AbstractGenerator
) -> None:
    from zstar.generators.pixels import Pixels

    generator = Pixels(SIZE).to(device.name) if space == "pixels" else there
    kept = {"generator": generator} | ({} if space == "pixels" else {"prior_samples": 20})
    noise = "none" if space == "pixels" else "optimize"
    problem = Problem(offer(node("space", space), **kept), {"pixel": Pixel()}, {}, optimizer, noise=noise)
    objective = Objective(problem, targets(device))
    v = problem.start(objective.targets)
    callbacks = [EarlyStop(5, 1e-3)]

    def work(steps: int) -> None:
        best = BestSoFar()
        found = minimize(objective, v, problem.groups(v), steps, callbacks=[*callbacks, best])
        assert found.v["latent"].device.type == fake_device.NAME

    seen = per_step(device, work)
    require_no_stop(seen)
    assert seen.launches.total() > 0


@pytest.mark.parametrize("group, name", [(g, n) for g in ("loss", "regularizer", "operator") for n in names(g)])
def test_a_term_of_the_equation_neither_waits_nor_copies(
    group: str, name: str, device: FakeDevice, there: AbstractGenerator, guess: Callable[..., TrainedEncoder]
) -> None:
    if name in FILES:
        pytest.skip("its network is a file of its own; that of another loss stands for it")
    settings = {"pnet_rand": True} if name.startswith("lpips") else {}
    space = WPlus(there, prior_samples=50)
    encoder = guess(space)
    encoder.network.to(device.name)
    component = offer(node(group, name) | settings, space=space, encoder=encoder)
    parts: dict[str, dict] = {"loss": {"pixel": Pixel()}, "regularizer": {}, "operator": {}}
    parts[group][name] = component.to(device.name) if group == "loss" else component
    problem = Problem(
        space, parts["loss"], parts["regularizer"], Adam(lr=0.01), noise="optimize", operators=parts["operator"]
    )
    objective = Objective(problem, targets(device))
    v = problem.start(objective.targets)
    seen = per_step(device, lambda steps: minimize(objective, v, problem.groups(v), steps))
    require_no_stop(seen)


def test_exploration_draws_ahead(device: FakeDevice, there: AbstractGenerator) -> None:
    """Random numbers of each image come from the host: many steps of them in one copy."""
    problem = Problem(W(there, prior_samples=50), {"pixel": Pixel()}, {}, Adam(lr=0.01))
    objective = Objective(problem, targets(device))
    require_no_stop(per_step(device, lambda steps: Optimization(problem, steps, explore=0.05)(objective)))
