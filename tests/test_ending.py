"""An end that comes from outside is no failure, loses nothing and is no success either."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from zstar.checkpoints.io import load_weights
from zstar.cli import guard
from zstar.config.schema import Train
from zstar.projection.run import run
from zstar.runs.ending import Stopped, Terminated, ending_well, handling
from zstar.runs.folder import finished
from zstar.tasks.fit import fit
from zstar.tasks.generator import GeneratorTask

WORDS = [
    "task=generator", "task.steps=6", "task.batch=4", "task.path_weight=0", "validation=null", "logger=none",
    "trainer.accelerator=cpu", "callbacks.samples_every=0", "callbacks.scores_every=0", "data.resolution=16",
    "data.count=16", "generator.resolution=16", "generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8",
    "discriminator=stylegan2", "discriminator.channel_max=8",
]  # fmt: skip


@pytest.fixture
def training(composed: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """A training of six steps, with more words."""
    return lambda *words: composed("train", *WORDS, *words)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_that_is_asked_to_end_finishes_its_step_and_goes_on_later(
    number: int, training: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = GeneratorTask.update

    def asked(self: GeneratorTask, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.done == 2:
            os.kill(os.getpid(), number)
        return update(self, batch)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(GeneratorTask, "update", asked)
        with pytest.raises(Stopped, match="3 of 6 steps are done and kept") as caught:
            fit(training(), tmp_path / "out")
    assert caught.value.code == 128 + number and signal.getsignal(number) is before
    assert not (tmp_path / "out" / "failed.txt").exists() and not (tmp_path / "out" / "result.json").exists()
    assert fit(training(), tmp_path / "out")["steps"] == 6
    fit(training(), tmp_path / "whole")
    one, other = (load_weights(tmp_path / name / "weights.safetensors") for name in ("out", "whole"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("word", "done"),
    [
        ("+trainer.max_time=00:00:00:00", None),
        ("+trainer.fast_dev_run=true", 1),
        ("+trainer.limit_train_batches=4", 4),
        ("trainer.max_epochs=0", 0),
        ("+trainer.max_steps=0", 0),
    ],
)
def test_a_training_that_lightning_ends_is_not_finished(
    word: str, done: int | None, training: Callable[..., DictConfig], tmp_path: Path
) -> None:
    with pytest.raises(Stopped, match=word.lstrip("+").partition("=")[0]) as caught:
        fit(training(word), tmp_path / "out")
    assert caught.value.code == 1 and (done is None or f"{done} of 6 steps" in str(caught.value))
    assert not (tmp_path / "out" / "result.json").exists()
    result = fit(training(), tmp_path / "out")
    assert result["steps"] == 6 and result["folder"] == str(tmp_path / "out")


def test_a_training_that_diverged_is_not_finished(training: Callable[..., DictConfig], tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^task: after 6 steps \d+ of \d+ tensors .* not finite; lower the learning rate"
    ):
        fit(training("task.lr=1e30"), tmp_path / "out")
    assert not {"result.json", "weights.safetensors"} & {path.name for path in (tmp_path / "out").iterdir()}


def test_tasks_of_slurm_without_their_companion_are_a_sentence(
    training: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "4")
    with pytest.raises(ValueError, match=r"^trainer: .*--ntasks-per-node=4[^\n]*$"):
        fit(training(), tmp_path / "out")


def test_a_rank_that_is_left_over_in_the_shell_is_named(
    training: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zstar.tasks.processes.rank_zero_only.rank", 1)
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ValueError, match="unset RANK"):
        fit(training(), tmp_path / "out")


@pytest.mark.parametrize(
    "word",
    [
        "trainer.accelerator=gpu", "trainer.precision=7", "+trainer.strategy=nonsense", "trainer.precision=16-true",
        "+trainer.gradient_clip_val=1",
    ],
)  # fmt: skip
def test_what_lightning_refuses_is_one_sentence(word: str, training: Callable[..., DictConfig], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^trainer[:.][^\n]+$"):
        fit(training(word), tmp_path / "out")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (None, 1)])
def test_a_program_that_ends_early_has_no_exit_code_of_success(
    number: int | None, code: int, training: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def job(_cfg: DictConfig) -> None:
        raise Stopped("ended", number)

    class NoSweep:
        mode = None
        overrides = SimpleNamespace(task=[])

    monkeypatch.setattr("zstar.cli.HydraConfig.get", lambda: NoSweep)
    with pytest.raises(SystemExit) as caught:
        guard(job, Train)(training())
    assert caught.value.code == code


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_an_interrupt_is_a_sentence(name: str, code: int) -> None:
    body = (
        f"signal.signal(signal.SIGINT, signal.default_int_handler); os.kill(os.getpid(), signal.{name}); time.sleep(60)"
    )
    lines = f"import os, signal, time\nfrom zstar.runs.ending import ending_well\nwith ending_well():\n    {body}"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, timeout=60)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert "the same command goes on" in done.stderr


def test_an_output_that_nobody_reads_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writer, "w"))
    with ending_well():
        for number in range(20_000):  # more than a buffer holds
            print(number)
    assert finished is not None


def test_a_signal_ends_a_projection_without_a_record_of_failure(
    composed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_generator: Callable[..., None]
) -> None:
    store_generator(tmp_path / "tiny.safetensors")
    cfg = composed(
        "invert", "generator=stylegan2", f"generator.checkpoint={tmp_path}/tiny.safetensors", "data.resolution=16",
        "data.count=2", "batch_size=1", "steps=1", "space.prior_samples=20", "loss=[pixel]", "metric=[psnr]",
        "logger=none", f"output={tmp_path}/runs",
    )  # fmt: skip
    from zstar.projection import batches

    measure, seen = batches.measure, []

    def ended(*arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return measure(*arguments)

    def handler(_number: int, _frame: Any) -> None:
        raise Terminated

    with monkeypatch.context() as patch, handling((signal.SIGTERM,), handler):
        patch.setattr(batches, "measure", ended)
        with pytest.raises(Terminated):
            run(cfg)
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.name != ".index")
    assert not (folder / "failed.txt").exists() and len(list((folder / "parts").glob("*.parquet"))) == 1
    result = run(cfg)
    assert result["images"] == 2

    for name in ("results.parquet", "latents.safetensors", "result.json"):  # the loss of any of them is noticed
        path = folder / name
        path.write_bytes(path.read_bytes()[:-40])
        assert finished(folder, result["config_hash"]) is None
        assert not run(cfg)["skipped"] and run(cfg)["skipped"]
    (folder / "parts").mkdir()
    assert run(cfg)["skipped"] and not (folder / "parts").exists()
