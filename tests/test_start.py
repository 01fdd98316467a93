"""A training goes on where another one ended, or begins with its weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from zstar.checkpoints.io import load_weights
from zstar.tasks.fit import fit

QUIET = ["logger=none", "trainer.accelerator=cpu", "callbacks.samples_every=0", "callbacks.scores_every=0"]
SMALL = ["generator.resolution=16", "generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8"]
WALK = [
    "edit=[brightness]",
    "task.decay=0",
    "task.batch=2",
    "loss=[pixel]",
    "validation=null",
    "space.prior_samples=500",
]
TASKS = {
    "generator": [
        "task=generator", *SMALL, "task.batch=4", "task.path_weight=0", "task.decay=0", "validation=null",
        "data.resolution=16", "data.count=16", "discriminator=stylegan2", "discriminator.channel_max=8",
    ],
    "encoder": [
        "task=encoder", "task.batch=2", "task.decay=0", "task.warmup=0", "data.count=8", "validation=null",
        "loss=[pixel]", "encoder.width=8", "encoder.width_max=8", "encoder.pyramid=8", "task.samples=0",
    ],
    "linear": ["task=direction", *WALK],
    "nonlinear": [
        "task=direction", "walk=nonlinear", "walk.width=4", "walk.steps=2", *WALK,
    ],
    "annotator": ["task=annotator", "task.batch=2", "data.count=8", "validation=null", "annotator.widths=[8,8]"],
}  # fmt: skip


@pytest.fixture
def training(composed: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """``training("encoder", …)``: one of a few steps, whose rates do not depend on their number."""
    return lambda name, *words: composed("train", *QUIET, *TASKS[name], *words)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_weights(folder / "weights.safetensors")


def same(a: Path, b: Path) -> bool:
    one, other = tensors(a), tensors(b)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["generator", "encoder", "linear", "nonlinear"])
def test_a_finished_training_that_goes_on_is_one_that_never_ended(
    name: str, training: Callable[..., DictConfig], tmp_path: Path
) -> None:
    fit(training(name, "task.steps=2"), tmp_path / "short")
    before = tensors(tmp_path / "short")
    longer = training(name, "task.steps=4", f"start={tmp_path / 'short'}")
    assert fit(longer, tmp_path / "short")["steps"] == 4  # in a folder of its own, beside that one
    (beside,) = tmp_path.glob("short_*")
    fit(training(name, "task.steps=4"), tmp_path / "whole")
    assert same(beside, tmp_path / "whole") and not same(tmp_path / "short", tmp_path / "whole")
    assert all(torch.equal(value, before[key]) for key, value in tensors(tmp_path / "short").items())
    assert fit(longer, tmp_path / "short")["skipped"]


@pytest.mark.parametrize("name", TASKS)
def test_exported_weights_are_where_a_training_begins(
    name: str, training: Callable[..., DictConfig], tmp_path: Path
) -> None:
    fit(training(name, "task.steps=3"), tmp_path / "first")
    weights = tmp_path / "first" / "weights.safetensors"
    # The rate of a training of one step is as small as can be, so that its end is its beginning.
    still = {"generator": "task.lr=1e-12", "linear": "walk.lr=1e-12", "nonlinear": "walk.lr=1e-12"}
    words = ["task.steps=1", f"start={weights}", still.get(name, "task.lr=1e-12"), "seed=1"]
    assert fit(training(name, *words), tmp_path / "second")["steps"] == 1
    one, other = tensors(tmp_path / "first"), tensors(tmp_path / "second")
    statistics = ("running_mean", "running_var", "num_batches_tracked", "w_avg")  # move with what the network sees
    for key in one:
        if not key.endswith(statistics):
            torch.testing.assert_close(other[key], one[key], rtol=1e-3, atol=1e-5)


def test_rates_and_decays_are_those_that_are_asked_for(training: Callable[..., DictConfig], tmp_path: Path) -> None:
    fit(training("annotator", "task.steps=2"), tmp_path / "first")
    words = ["task.steps=4", f"start={tmp_path / 'first'}", "task.weight_decay=0.5"]
    fit(training("annotator", *words), tmp_path / "second")
    state = torch.load(tmp_path / "second" / "checkpoint.pt", weights_only=True)
    assert state["parts"]["optimizer"]["param_groups"][0]["weight_decay"] == 0.5 and state["done"] == 4


def test_another_start_is_another_training(
    training: Callable[..., DictConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(training("linear", "task.steps=1"), tmp_path / "a")
    fit(training("linear", "task.steps=2"), tmp_path / "a")
    printed = capsys.readouterr().out
    assert "task.steps: 1 → 2" in printed and f"start={tmp_path / 'a'} would go on from where that" in printed
    fit(training("linear", "task.steps=1", "seed=1"), tmp_path / "b")
    fit(training("linear", "task.steps=2", f"start={tmp_path / 'a'}"), tmp_path / "c")
    fit(training("linear", "task.steps=2", f"start={tmp_path / 'b'}"), tmp_path / "c")
    assert "the content of start" in capsys.readouterr().out and len(list(tmp_path.glob("c*"))) == 2


def test_what_is_no_start_is_said_in_one_sentence(training: Callable[..., DictConfig], tmp_path: Path) -> None:
    fit(training("linear", "task.steps=2"), tmp_path / "first")
    (tmp_path / "damaged.pt").write_bytes(b"no checkpoint")
    (tmp_path / "empty").mkdir()
    wrong = {
        f"start={tmp_path / 'first'}": "has done 2 steps and task.steps is 2",
        f"start={tmp_path / 'empty'}": "there is no .*empty/checkpoint.pt",
        f"start={tmp_path / 'damaged.pt'}": "damaged.pt is no checkpoint of a training",
        "start=nothing": "no file and no shipped weights are called 'nothing'",
        "start=encoder64": "holds encoder and this is a training of directions",
        "start=directions64": None,
    }
    for word, message in wrong.items():
        words = ["task.steps=2", word]
        if message is None:
            assert fit(training("linear", *words), tmp_path / "good")["steps"] == 2
            continue
        with pytest.raises(ValueError, match=f"^start: [^\n]*{message}[^\n]*$"):
            fit(training("linear", *words), tmp_path / "out")
    fit(training("linear", "task.steps=1", "edit=[contrast]"), tmp_path / "contrast")
    for word in (f"start={tmp_path / 'contrast'}", f"start={tmp_path / 'contrast' / 'weights.safetensors'}"):
        with pytest.raises(ValueError, match=r"^start: [^\n]* does not fit the directions of this training[^\n]*$"):
            fit(training("linear", "task.steps=2", word), tmp_path / "out")
