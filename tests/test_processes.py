"""Several processes that train together compute what one does, write once, and end together."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from zstar.checkpoints.io import load_weights
from zstar.tasks.fit import fit

ROOT = Path(__file__).parents[1]
ENCODER = [
    "task=encoder", "generator=stylegan2", "generator.checkpoint=tiny.safetensors", "space=w_plus",
    "space.prior_samples=100", "encoder=psp", "encoder.width=8", "encoder.width_max=16", "encoder.blocks=1",
    "encoder.pyramid=8", "encoder.around=first", "loss=[pixel]", "metric=[mse]", "validation.count=8", "task.batch=8",
    "task.log_every=1",
    "task.samples=0.25", "task.flip=0.5", "task.widen_after=3", "task.widen_every=1", "logger=csv",
    "callbacks.samples_every=0", "callbacks.scores_every=5", "callbacks.snapshot_every=0", "trainer.accelerator=cpu",
]  # fmt: skip
GENERATOR = [
    "task=generator", "generator.resolution=16", "generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8",
    "discriminator=stylegan2", "discriminator.channel_max=8", "discriminator.r1_every=2", "task.steps=4",
    "task.batch=8", "task.log_every=1", "task.path_weight=1", "task.path_every=2", "task.style_mixing=0.5",
    "data.resolution=16", "data.count=64", "validation=null", "logger=csv", "trainer.accelerator=cpu",
    "callbacks.samples_every=0", "callbacks.scores_every=0", "callbacks.snapshot_every=0",
]  # fmt: skip
TWO = ["trainer=ddp", "trainer.devices=2"]
RECORDED = '''
"""Cottages that note who reads them; where a file says so, a process fails at its third batch or images are broken."""

import os
from pathlib import Path

from zstar.data.base import AbstractData
from zstar.data.cottages import Cottages


class Recorded(AbstractData):
    def __init__(self) -> None:
        self.data, self.reads = Cottages(32, "train", 16), 0

    def __len__(self) -> int:
        return len(self.data)

    def read(self, indices):
        self.reads += 1
        rank = os.environ.get("LOCAL_RANK", "0")
        if rank == "1" and self.reads == 3 and Path("fail").exists():
            raise ValueError(Path("fail").read_text())
        with open(f"reads{rank}.txt", "a") as file:
            file.write(" ".join(map(str, indices)) + "\\n")
        broken = Path("broken").read_text().split() if Path("broken").exists() else []
        batch = self.data.read([index for index in indices if str(index) not in broken])
        batch.failed = {str(index): "broken" for index in indices if str(index) in broken}
        return batch

    def fingerprint(self) -> str:
        return "recorded"

    def split(self, count):
        return self, Cottages(count, "validation", 16) if count else None
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_generator: Callable[..., None]) -> Path:
    """A working directory with a generator, a data set of one's own, and the configuration for it."""
    store_generator(tmp_path / "tiny.safetensors")
    (tmp_path / "recorded.py").write_text(RECORDED)
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "data" / "recorded.yaml").write_text("_target_: recorded.Recorded\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def command_line(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """``python train.py --config-dir mine data=recorded …`` from the working directory, with paths relative to it."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}.", "OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, str(ROOT / "train.py"), "--config-dir", "mine", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)


def alone(composed: Callable[..., DictConfig], folder: str, *words: str) -> dict[str, Any]:
    """The same training in this process."""
    cfg = composed("train", *ENCODER, *words)
    cfg.data = {"_target_": "recorded.Recorded"}
    return fit(cfg, Path(folder))


def curve(folder: str) -> dict[tuple[str, str], float]:
    rows = [line.split(",") for line in Path(folder, "log", "metrics.csv").read_text().splitlines()[1:]]
    return {(step, name): float(value) for step, name, value in rows}


def reads(rank: int) -> list[list[int]]:
    return [[int(number) for number in line.split()] for line in Path(f"reads{rank}.txt").read_text().splitlines()]


def same_weights(one: str, two: str) -> None:
    a, b = (load_weights(Path(folder) / "weights.safetensors") for folder in (one, two))
    for name in a:
        torch.testing.assert_close(a[name].float(), b[name].float(), atol=2e-3, rtol=2e-3)


@pytest.mark.slow
def test_two_processes_compute_what_one_computes(place: Path, composed: Callable[..., DictConfig]) -> None:
    words = ["task.steps=8"]
    done = command_line(*ENCODER, *TWO, *words, "data=recorded", "output=out")
    assert done.returncode == 0, done.stderr
    *progress, weights, folder = done.stdout.splitlines()
    assert weights.startswith("weights: out/encoder/weights.safetensors (") and folder.startswith("folder: out/encoder")
    assert all(line.startswith("training") for line in progress) and "8 of 8 steps" in progress[-1]
    assert not done.stderr.strip()
    shares = reads(0), reads(1)
    for path in place.glob("reads*.txt"):
        path.unlink()
    result = alone(composed, "alone", *words)
    for step, batch in enumerate(reads(0)):
        first, second = (share[step] for share in shares)
        assert len(first) == len(second) == 4 and sorted(first + second) == sorted(batch)
    one, two = curve("alone"), curve("out/encoder")
    assert one.keys() == two.keys() and ("8", "train/pixel") in one and ("5", "validation/mse") in one
    assert all(two[key] == pytest.approx(value, rel=1e-3, abs=1e-5) for key, value in one.items())
    same_weights("alone", "out/encoder")
    found = json.loads(Path("out/encoder/result.json").read_text())
    assert (
        found["scores"] == pytest.approx(result["scores"], rel=1e-3) and found["config_hash"] == result["config_hash"]
    )
    assert len(list(place.glob("out/**/log"))) == 1 and not list(place.glob("out/**/failed.txt"))


@pytest.mark.slow
def test_one_that_fails_ends_both_with_its_message_and_one_goes_on_alone(
    place: Path, composed: Callable[..., DictConfig]
) -> None:
    words = ["task.steps=6", "task.widen_after=1", "callbacks.checkpoint_minutes=0", "validation=null"]
    words = [*(word for word in ENCODER if not word.startswith(("validation.", "task.widen_after"))), *words]
    Path("fail").write_text("data: the second process can't go on")
    done = command_line(*words, *TWO, "data=recorded", "output=out")
    assert done.returncode == 2
    said = [line for line in done.stderr.replace("\r", "\n").split("\n") if line.strip()]
    assert said == ["error: data: the second process can't go on"]
    assert "second process" in Path("out/encoder/failed.txt").read_text()
    assert json.loads(Path("out/encoder/log/run.json").read_text())["status"] == "failed"
    assert torch.load("out/encoder/checkpoint.pt", weights_only=True)["done"] == 1  # batches come one ahead
    Path("fail").unlink()
    again = command_line(*words, *TWO, "data=recorded", "output=out")  # goes on with step 2, in both
    assert again.returncode == 0, again.stderr
    assert not Path("out/encoder/failed.txt").exists()
    cfg = composed("train", *words)
    cfg.data = {"_target_": "recorded.Recorded"}
    fit(cfg, Path("alone"))
    same_weights("alone", "out/encoder")


@pytest.mark.slow
def test_broken_images_of_all_processes_are_named(place: Path) -> None:
    broken = [str(index) for index in range(0, 32, 3)]
    Path("broken").write_text(" ".join(broken))
    words = ["task.steps=4", "task.widen_after=null", "data=recorded", "output=out"]  # four batches of 8 are all images
    done = command_line(*ENCODER, *TWO, *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(Path("out/encoder/result.json").read_text())["failed"] == dict.fromkeys(broken, "broken")
    *lost, rest, weights, _ = [line for line in done.stdout.splitlines() if not line.startswith("training")]
    assert len(lost) == 10 and rest.endswith("/result.json names them") and weights.startswith("weights: out/encoder/")


@pytest.mark.slow
def test_a_generator_is_trained_by_two(place: Path) -> None:
    done = command_line(*GENERATOR, *TWO, "output=out")
    assert done.returncode == 0, done.stderr
    assert {step for step, _ in curve("out/generator")} == {"1", "2", "3", "4"}
    assert all(torch.isfinite(value).all() for value in load_weights("out/generator/weights.safetensors").values())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["task.batch=9"], "task.batch: 9 images can't be shared by 2 processes; choose a multiple"),
        (
            ["encoder=igan", "space=w", "task.widen_after=null"],
            "trainer.sync_batchnorm: processes on CPUs can't share the statistics of this network's batch norm",
        ),
        (["hydra.mode=MULTIRUN"], "trainer.devices: a grid (-m) can't start 2 processes for each of its trainings"),
    ],
)
def test_what_processes_cannot_share(
    words: list[str], sentence: str, place: Path, composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [word for word in ENCODER if not (words[0] == "encoder=igan" and word.startswith(("encoder", "space=")))]
    cfg = composed("train", *kept, *TWO, "data.resolution=16", "data.count=64", *words, return_hydra_config=True)
    if words[0].startswith("hydra"):
        monkeypatch.setattr(HydraConfig.instance(), "cfg", cfg)
    cfg = composed("train", *kept, *TWO, "data.resolution=16", "data.count=64", *words)
    with pytest.raises(ValueError) as error:
        fit(cfg, place / "out")
    assert str(error.value).startswith(sentence)
