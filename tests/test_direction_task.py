"""Learning directions: what can be reached is found, it goes on exactly, and the best is what is exported."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from zstar.checkpoints.io import save_weights
from zstar.directions.library import load_directions
from zstar.edits.blur import Blur
from zstar.edits.brightness import Brightness
from zstar.edits.rotate_3d import Rotate3D
from zstar.losses.pixel import Pixel
from zstar.tasks.curves import BestWalk, measure, strips
from zstar.tasks.direction import DirectionTask
from zstar.tasks.fit import fit
from zstar.walks.linear import LinearWalk

FOLDER = tempfile.TemporaryDirectory(prefix="zstar-")
PLANTED = Path(FOLDER.name) / "planted.safetensors"
SIZE = 16
NETWORK = (
    "{_target_: torch.nn.Sequential, _args_: [{_target_: torch.nn.Linear, _args_: [8, 768]}, "
    "{_target_: torch.nn.Unflatten, _args_: [1, [3, 16, 16]]}]}"
)
QUICK = [
    "task=direction", "logger=none", "trainer.accelerator=cpu", "generator=module", f"+generator.network={NETWORK}",
    "generator.latent_shape=[8]", f"generator.checkpoint={PLANTED}", "space=z", "space.prior_samples=500",
    "edit=[brightness]", "loss=[pixel]", "data.count=4096", "validation.count=8", "walk.lr=0.15", "task.steps=120",
    "task.batch=16", "task.log_every=5",
    "callbacks.samples_every=0", "callbacks.scores_every=0", "callbacks.snapshot_every=0",
]  # fmt: skip
SAVING = ["callbacks.checkpoint_minutes=0"]


@pytest.fixture(scope="module", autouse=True)
def planted() -> Iterator[None]:
    """A linear generator: the first coordinate of z is brightness, 0.1 each, the others are patterns without any."""
    patterns = 0.02 * torch.randn(8, 768, generator=torch.Generator().manual_seed(0))
    patterns -= patterns.mean(dim=1, keepdim=True)
    patterns[0] = 0.1
    save_weights(PLANTED, {"0.weight": patterns.T, "0.bias": torch.zeros(768)}, {})
    yield
    FOLDER.cleanup()


@pytest.fixture
def cfg(composed: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """``cfg("walk=nonlinear", …)``: a training of a second."""

    def make(*words: str) -> DictConfig:
        chosen = {word.partition("=")[0].strip("~+") for word in words}
        groups = chosen & {"generator", "walk"}
        kept = [word for word in QUICK if word.strip("+").split(".")[0].split("=")[0] not in groups]
        return composed("train", *(w for w in kept if w.partition("=")[0].strip("+") not in chosen), *words)

    return make


def equal(a: Any, b: Any) -> bool:
    """Whether two states are the same to the last bit."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def logged(folder: Path, name: str) -> list[float]:
    rows = [line.split(",") for line in (folder / "log" / "metrics.csv").read_text().splitlines()[1:]]
    return [float(value) for _, found, value in rows if found == name]


def brighter(latent: Tensor, alpha: Tensor, share: float = 1.0) -> Tensor:
    """The right answer, or a share of it."""
    return latent + share * alpha[:, None] * torch.eye(8)[0] / 0.1


@pytest.fixture
def task(cfg: Callable[..., DictConfig]) -> DirectionTask:
    return DirectionTask.compose(cfg())


def held_out(task: DirectionTask, count: int = 12) -> Tensor:
    return task.space.sample(count, torch.Generator().manual_seed(9))


def test_a_linear_walk_finds_what_is_planted(tmp_path: Path, cfg: Callable[..., DictConfig]) -> None:
    result = fit(cfg("logger=csv"), tmp_path)
    task = DirectionTask.compose(cfg())
    (direction,) = load_directions(tmp_path / "weights.safetensors", task.space.generator).values()
    torch.testing.assert_close(direction.vector, 10 * torch.eye(8)[0], atol=0.2, rtol=0)
    nothing = measure(Brightness(), lambda z, _: z, task.space.decode, task.losses, held_out(task)).scores()
    scores = result["scores"]
    assert set(scores) == {f"brightness/{name}" for name in ("loss", "slope", "r2", "r2_mean", "returned")}
    assert scores["brightness/loss"] < 0.01 * nothing["loss"]
    assert scores["brightness/slope"] == pytest.approx(1, abs=0.03) and scores["brightness/r2"] > 0.99
    assert scores["brightness/returned"] < 1e-5  # what is added is taken away
    assert logged(tmp_path, "train/brightness/pixel")[-1] < 0.05 * logged(tmp_path, "train/brightness/pixel")[0]
    assert logged(tmp_path, "train/brightness/cycle")[-1] < 1e-6


def test_the_card_says_what_was_learned_and_how_far_it_goes(tmp_path: Path, cfg: Callable[..., DictConfig]) -> None:
    result = fit(cfg("edit.brightness.low=-0.2", "edit.brightness.high=0.4"), tmp_path)
    card = json.loads((tmp_path / "weights.json").read_text())
    said, curve = card["directions"]["brightness"], card["curves"]["brightness"]
    assert (card["kind"], said["space"], said["low"], said["high"]) == ("directions", "z", -0.2, 0.4)
    assert said["unit"] == "offset in [-1, 1]" and said["meaning"] == "what edit=brightness does"
    assert said["found"]["method"] == "learned" and said["found"]["edit"]["high"] == 0.4
    assert said["found"]["walk"]["_target_"] == "zstar.walks.linear.LinearWalk"
    assert said["scores"]["loss"] == pytest.approx(result["scores"]["brightness/loss"])
    assert [row["alpha"] for row in curve] == pytest.approx(
        [-0.3 + 0.05 * i for i in range(6)] + [0.1 * i for i in range(7)]
    )
    for row in curve:
        assert row["given"] == pytest.approx(row["alpha"], abs=0.02)
        assert row["low"] <= row["achieved"] <= row["high"] and row["achieved"] == pytest.approx(row["alpha"], abs=0.05)
    assert card["steps"] == 120 and card["config"]["walk"]["rows"] is None and "encoder" not in card["config"]


@pytest.mark.slow
@pytest.mark.parametrize("walk", ["linear", "nonlinear"])
def test_half_the_steps_and_the_other_half_are_all(
    walk: str, tmp_path: Path, cfg: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"walk={walk}", "edit=[brightness,contrast]", "task.steps=6", "callbacks.scores_every=3", *SAVING]
    fit(cfg(*words), tmp_path / "whole")
    with monkeypatch.context() as patch:
        update = DirectionTask.update
        patch.setattr(DirectionTask, "update", lambda self, batch: update(self, batch) if self.done < 4 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(cfg(*words), tmp_path / "halves")
    half = torch.load(tmp_path / "halves" / "checkpoint.pt", weights_only=True)
    assert half["done"] == 4 and half["parts"]["best"]["brightness._extra_state"]["alpha"].shape == (13,)
    fit(cfg(*words), tmp_path / "halves")
    whole, halves = (torch.load(tmp_path / n / "checkpoint.pt", weights_only=True) for n in ("whole", "halves"))
    assert whole["done"] == 6 and equal(whole["parts"], halves["parts"])
    files = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "halves")]
    assert files[0] == files[1]
    cards = [json.loads((tmp_path / name / "weights.json").read_text()) for name in ("whole", "halves")]
    assert cards[0]["directions"] == cards[1]["directions"] and cards[0]["curves"] == cards[1]["curves"]


def test_several_edits_get_a_direction_each(tmp_path: Path, cfg: Callable[..., DictConfig]) -> None:
    fit(cfg("edit=[brightness,shift_x]", "validation.count=2"), tmp_path)
    generator = DirectionTask.compose(cfg()).space.generator
    found = load_directions(tmp_path / "weights.safetensors", generator)
    assert list(found) == ["brightness", "shift_x"]
    assert found["shift_x"].label.unit == "widths" and found["shift_x"].label.found["edit"]["axis"] == "x"
    torch.testing.assert_close(found["brightness"].vector, 10 * torch.eye(8)[0], atol=0.2, rtol=0)
    assert found["shift_x"].vector[0].abs() < 1  # moving noise makes nothing brighter


def test_the_best_is_exported_and_not_the_last(
    tmp_path: Path, cfg: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    update = DirectionTask.update

    def spoiled(self: DirectionTask, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        found = update(self, batch)
        if self.done >= 40:
            self.walks["brightness"].vector.data.add_(1.0)
        return found

    monkeypatch.setattr(DirectionTask, "update", spoiled)
    words = ["logger=csv", "task.steps=60", "callbacks.scores_every=20", *SAVING]
    result = fit(cfg(*words), tmp_path)
    losses = logged(tmp_path, "validation/brightness/loss")
    assert len(losses) == 3 and min(losses) < 0.01 * losses[2]
    assert result["scores"]["brightness/loss"] == pytest.approx(losses[2])
    task = DirectionTask.compose(cfg())
    (direction,) = load_directions(tmp_path / "weights.safetensors", task.space.generator).values()
    assert direction.label.scores["loss"] == pytest.approx(min(losses))
    walk = lambda z, alpha: direction.move(z, alpha)  # noqa: E731
    task.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    data = torch.cat([b.extras["latent"] for b in _validation(task).batches(64)])
    found = measure(task.edits["brightness"], walk, task.space.decode, task.losses, data).scores()
    assert found["loss"] == pytest.approx(min(losses), rel=1e-4)
    last = measure(task.edits["brightness"], task.walks["brightness"], task.space.decode, task.losses, data).scores()
    assert last["loss"] == pytest.approx(losses[2], rel=1e-4)


def _validation(task: DirectionTask) -> Any:
    from zstar.data.samples import Samples

    return Samples(task.space.generator, 4096, space=task.space.name).split(8)[1]


def test_the_generator_stays_as_it_is_and_out_of_the_checkpoint(
    tmp_path: Path, cfg: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[DirectionTask] = []
    compose = DirectionTask.compose
    monkeypatch.setattr(DirectionTask, "compose", lambda cfg: made.append(compose(cfg)) or made[-1])
    fit(cfg("loss=[pixel,perceptual]", "walk=nonlinear", "walk.width=4", "task.steps=2", *SAVING), tmp_path)
    (task,) = made
    generator = task.space.generator
    assert generator.fingerprint() == compose(cfg()).space.generator.fingerprint() and not generator.training
    judge = task.losses["perceptual"]
    assert all(weight.grad is None for module in (generator, judge) for weight in module.parameters())
    assert not any("generator" in name or "network" in name for name in task.state_dict())
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert set(state["parts"]) == {"walks", "best", "adam"}
    assert (tmp_path / "checkpoint.pt").stat().st_size < 100_000


@pytest.mark.slow
def test_steps_back_lead_back_where_that_is_asked_for(tmp_path: Path, cfg: Callable[..., DictConfig]) -> None:
    words = [
        "walk=nonlinear",
        "walk.width=16",
        "walk.keep_norm=false",
        "walk.lr=0.01",
        "task.steps=100",
        "task.batch=8",
    ]
    strayed = {}
    for weight in (0, 1):
        scores = fit(cfg(*words, f"task.cycle_weight={weight}"), tmp_path / str(weight))["scores"]
        strayed[weight] = scores["brightness/returned"]
        assert scores["brightness/slope"] > 0.5
    assert 0 < strayed[1] < 0.3 and strayed[1] < 0.7 * strayed[0]


@pytest.mark.slow
def test_rows_of_w_plus(
    tmp_path: Path, cfg: Callable[..., DictConfig], tiny: Any, store_generator: Callable[..., None]
) -> None:
    store_generator(tmp_path / "tiny.safetensors", tiny)
    words = ["generator=stylegan2", f"generator.checkpoint={tmp_path / 'tiny.safetensors'}", "space=w_plus"]
    words += ["walk.rows=[0,3]", "task.steps=40", "callbacks.samples_every=20"]
    result = fit(cfg(*words), tmp_path / "run")
    (direction,) = load_directions(tmp_path / "run" / "weights.safetensors", tiny).values()
    moved = direction.vector.abs().sum(dim=1) > 0
    assert direction.space == "w_plus" and moved.tolist() == [True] * 3 + [False] * 3
    nothing = measure(Brightness(), lambda v, _: v, lambda v: tiny.synthesize(v, "w_plus"), {"pixel": Pixel()},
                      tiny.sample(12, torch.Generator().manual_seed(1), space="w_plus")).scores()  # fmt: skip
    assert result["scores"]["brightness/loss"] < 0.7 * nothing["loss"] and result["scores"]["brightness/slope"] > 0.5
    assert len(list((tmp_path / "run" / "samples").glob("*.png"))) == 2


def test_a_curve_knows_the_right_answer(task: DirectionTask) -> None:
    edit, decode, latents = Brightness(-0.2, 0.4), task.space.decode, held_out(task)
    curve = measure(edit, brighter, decode, task.losses, latents, size=5)
    assert curve.alpha.tolist() == pytest.approx([-0.3 + 0.05 * i for i in range(6)] + [0.1 * i for i in range(7)])
    assert curve.inside.tolist() == [False] * 2 + [True] * 9 + [False] * 2
    torch.testing.assert_close(curve.given, curve.alpha[:, None].expand(-1, 12), atol=1e-3, rtol=0)
    torch.testing.assert_close(curve.achieved, curve.given, atol=1e-3, rtol=0)
    scores = curve.scores()
    assert scores["slope"] == pytest.approx(1, abs=1e-3) and scores["r2"] > 0.9999 and scores["r2_mean"] > 0.9999
    assert scores["loss"] < 1e-10
    half = measure(edit, lambda z, a: brighter(z, a, 0.5), decode, {"pixel": Pixel(weight=3.0)}, latents)
    assert half.scores()["slope"] == pytest.approx(0.5, abs=0.01) and half.scores()["r2"] > 0.999
    inside = half.alpha[half.inside]
    missing = (0.5 * inside).square().sum() / (inside - inside.mean()).square().sum()
    assert half.scores()["r2_mean"] == pytest.approx(1 - missing.item(), abs=0.01)
    torch.testing.assert_close(half.loss, 3 * (0.5 * half.alpha).square()[:, None].expand(-1, 12), atol=1e-5, rtol=1e-3)
    nothing = measure(edit, lambda z, _: z, decode, task.losses, latents).scores()
    assert (nothing["slope"], nothing["r2"]) == (pytest.approx(0, abs=1e-6), 0)
    assert nothing["r2_mean"] == pytest.approx(1 - 4 * missing.item(), abs=0.01)
    assert nothing["loss"] == pytest.approx(curve.alpha[curve.inside].square().mean().item(), rel=1e-3)


def test_a_curve_stays_where_the_edit_is_defined(task: DirectionTask) -> None:
    nowhere = lambda z, _: z  # noqa: E731
    latents = held_out(task, 2)
    turned = measure(Rotate3D(-50.0, 50.0), nowhere, task.space.decode, task.losses, latents)
    assert turned.alpha.min() == -60 and turned.alpha.max() == 60
    assert turned.alpha[turned.inside].min() == -50 and turned.loss.isfinite().all()
    one_way = measure(Blur(), nowhere, task.space.decode, task.losses, latents)
    assert one_way.alpha[0] == 0 and one_way.inside[0] and len(one_way.alpha) == 7


def test_the_best_is_kept_with_its_curve(task: DirectionTask) -> None:
    walk, latents = task.walks["brightness"], held_out(task)
    best = BestWalk(walk)
    assert best.get_extra_state() == {}
    for share, kept in ((0.5, 0.5), (0.9, 0.9), (0.2, 0.9), (0.9, 0.9)):
        with torch.no_grad():
            walk.vector.copy_(share * torch.eye(8)[0] / 0.1 / walk.scale)
        best.see(walk, measure(task.edits["brightness"], walk, task.space.decode, task.losses, latents))
        torch.testing.assert_close(best.walk.vector * walk.scale, kept * torch.eye(8)[0] / 0.1)
        assert best.curve.scores()["slope"] == pytest.approx(kept, abs=0.03)
    again = BestWalk(LinearWalk(task.space, task.edits["brightness"]))
    again.load_state_dict(best.state_dict())
    assert torch.equal(again.walk.vector, best.walk.vector) and again.curve.scores() == best.curve.scores()
    assert not any(weight.requires_grad for weight in best.parameters())


def test_pictures_are_walks_above_edits(task: DirectionTask, cfg: Callable[..., DictConfig]) -> None:
    latents, edit = held_out(task, 2), Brightness(-0.3, 0.3)
    images = strips(edit, brighter, task.space.decode, latents).view(2, 2, 8, 3, SIZE, SIZE)
    before = task.space.decode(latents).clamp(-1, 1)
    for image, rows in zip(before, images, strict=True):
        torch.testing.assert_close(rows[:, 0], image.expand(2, -1, -1, -1), atol=1e-5, rtol=0)
        torch.testing.assert_close(rows[0, 1:].clamp(-1, 1), rows[1, 1:], atol=1e-5, rtol=0)
        means = rows[1, 1:].mean(dim=(1, 2, 3)) - image.mean()
        torch.testing.assert_close(means, torch.linspace(-0.3, 0.3, 7), atol=0.05, rtol=0)
    task = DirectionTask.compose(cfg("edit=[brightness,zoom]"))
    assert task.pictures(_validation(task)).shape == (2 * 2 * 16, 3, SIZE, SIZE) and task.pictures(None) is None


def test_the_rate_stays_and_falls(cfg: Callable[..., DictConfig]) -> None:
    task = DirectionTask.compose(cfg("task.steps=100", "task.decay=0.4"))
    rates = [task.rate(step) for step in range(100)]
    assert rates[:61] == pytest.approx([1.0] * 61) and rates[80] == pytest.approx(0.5) and 0 < rates[99] < 0.01
    assert rates[60:] == sorted(rates[60:], reverse=True)
    flat = DirectionTask.compose(cfg("task.decay=0"))
    assert {flat.rate(step) for step in range(60)} == {1.0}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["edit=[]"], "edit: the list is empty and there is nothing to learn from; choose edit=[zoom]"),
        (["loss=[]"], "loss: the list is empty and there is nothing to learn from; choose loss=[pixel]"),
        (["generator=stylegan2"], "generator.checkpoint: without one the weights are random and there is nothing to"),
        (["walk.rows=[0,1]"], "walk.rows: z has no rows to choose from; set space=w_plus or walk.rows=null"),
        (["walk=nonlinear", "walk.steps=0"], "walk.steps: 0 is not possible; set it to 1 or more"),
        (["walk.lr=0"], "walk.lr: 0 is not possible"),
        (["task.decay=2"], "task.decay: 2 is not possible"),
        (["task.cycle_weight=-1"], "task.cycle_weight: -1 is not possible"),
        (["space=w"], "space: Module has no space 'w'; choose one of z"),
        (["edit.brightness.low=0.1"], "edit.brightness.low, high: 0.1 to 0.5 is no range of α"),
        (["edit=[red]", "edit.red.low=0.1"], "edit.red.low, high: 0.1 to 0.5 is no range of α"),
        (["edit=[season]", "edit.season.factor=sesaon"], "edit.season.factor: there is no factor 'sesaon'; choose one"),
        (["~walk"], "walk: nothing is chosen and this task needs it"),
        (["data=cottages", "data.resolution=16", "data.count=32"], "data: nobody knows the latents of these images"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes_are_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, cfg: Callable[..., DictConfig]
) -> None:
    with pytest.raises(ValueError) as error:
        fit(cfg(*words), tmp_path)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)
    assert not (tmp_path / "checkpoint.pt").exists()
