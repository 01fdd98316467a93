"""Sweeps: no cell twice, none lost, whoever is killed; what fails is recorded, and the others are done."""

import json
import logging
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra._internal.core_plugins import basic_sweeper
from omegaconf import OmegaConf

from zstar.benchmark.compare import Sampling
from zstar.benchmark.discover import find_runs
from zstar.benchmark.leaderboard import Choices, make_boards
from zstar.cli import invert
from zstar.images import write_png
from zstar.projection import batches
from zstar.runs.folder import clear_partial, record_result
from zstar.runs.lifecycle import run_in
from zstar.runs.locks import LeftToAnother, hold
from zstar.runs.sweeps import distinct

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src")}
HOLDER = """
import pathlib, sys, time
from zstar.runs.locks import hold
with hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
COUNTED = '''
"""Cottages that write a line whenever they are read."""
import time
from pathlib import Path
from zstar.data.base import AbstractData
from zstar.data.cottages import Cottages


class Counted(AbstractData):
    def __init__(self, log: str, seed: int, count: int = 2, seconds: float = 0.0):
        self.log, self.seed, self.seconds = Path(log), seed, seconds
        self.inner = Cottages(count, resolution=16, seed=seed)

    def __len__(self):
        return len(self.inner)

    def read(self, indices):
        with self.log.open("a") as file:
            file.write(f"{self.seed}\\n")
        time.sleep(self.seconds)
        return self.inner.read(indices)

    def split(self, count):
        return self, None

    def fingerprint(self):
        return self.inner.fingerprint()
'''


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_generator: Callable[..., None]) -> list[str]:
    """The command line of a sweep of tiny cells, which count in ``log`` what they read; its folder is the current."""
    store_generator(tmp_path / "g.safetensors")
    (tmp_path / "counted.py").write_text(COUNTED)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "counted.yaml").write_text(
        f"_target_: counted.Counted\nlog: {tmp_path}/log\nseed: 0\ncount: 2\nseconds: 0.0\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["-m", "--config-dir", f"{tmp_path}/conf", "data=counted", "generator=stylegan2", "steps=1", "loss=[pixel]"]
    words += [f"generator.checkpoint={tmp_path}/g.safetensors", "space.prior_samples=10", "metric=[mse]"]
    return [*words, "logger=none", "projector=[mean]", "device=cpu"]


def sweep(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run ``invert.py`` here; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["invert.py", *words])
    monkeypatch.setattr(logging, "raiseExceptions", False)  # handlers of earlier tests write to streams that are closed
    try:
        invert()
    except SystemExit as end:
        return int(str(end.code))
    return 0


def results(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("outputs/invert/*/result.json")}


def counts(folder: Path) -> Counter:
    return Counter((folder / "log").read_text().split())


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """A process that holds the lock ``tmp_path/run/.lock``."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run" / ".lock")]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_lock_ends_with_its_process_however_that_dies(
    tmp_path: Path, holder: subprocess.Popen, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(LeftToAnother, match=f"left to another process: {tmp_path}/run"), hold(tmp_path / "run/.lock"):
        pass
    timer = threading.Timer(0.3, lambda: holder.send_signal(signal.SIGKILL))
    timer.start()
    with hold(tmp_path / "run" / ".lock", wait=True):
        assert holder.wait() == -signal.SIGKILL
    assert "waiting for another process" in capsys.readouterr().out
    with hold(tmp_path / "run" / ".lock"):  # the file that stayed is no lock
        pass


def test_what_a_live_process_is_writing_stays(tmp_path: Path, holder: subprocess.Popen) -> None:
    here, dead = platform.node(), subprocess.Popen(["true"])
    dead.wait()
    kept = [f".a.{here}.{holder.pid}.partial.png", ".a.elsewhere.1.partial.png"]
    gone = [f".a.{here}.{dead.pid}.partial.png", f".a.{here}.{os.getpid()}.partial", ".b.elsewhere.1.partial.png"]
    for name in [*kept, *gone]:
        (tmp_path / name).touch()
    os.utime(tmp_path / gone[-1], (0, 0))
    clear_partial(tmp_path)
    assert {path.name for path in tmp_path.glob(".*.partial*")} == set(kept)


def test_two_workers_do_a_run_once(tmp_path: Path) -> None:
    begun, go, done = threading.Event(), threading.Event(), []
    plain = {"logger": {"_target_": "zstar.loggers.none.NoLogger"}, "tags": []}

    def work(logger: Any) -> dict[str, Any]:
        begun.set()
        assert go.wait(10)
        done.append(1)
        result = {"config_hash": "k"}
        record_result(tmp_path, result)
        return result

    def ask(wait: bool = False) -> dict[str, Any]:
        return run_in(tmp_path, "k", plain, "invert", "run", work, wait=wait)

    first = threading.Thread(target=ask)
    first.start()
    assert begun.wait(10)
    with pytest.raises(LeftToAnother):
        ask()
    threading.Timer(0.2, go.set).start()
    assert ask(wait=True)["skipped"] and ask()["skipped"]
    first.join()
    assert done == [1] and not (tmp_path / "failed.txt").exists()


def heads(folder: Path) -> list[dict[str, Any]]:
    """What the loggers of the runs in a folder were told."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/log/run.json"))]


@pytest.mark.slow
def test_runs_are_named_by_what_differs_and_grouped_by_their_sweep(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [word for word in words if word not in ("logger=none", "steps=1")]
    words += ["logger=csv", "steps=0,1", "tags=[mine]"]
    assert sweep([*words, "output=a"], monkeypatch) == 0
    first, second = heads(tmp_path / "a")
    assert {first["name"], second["name"]} == {"w_plus_mean_seed0 steps=0", "w_plus_mean_seed0 steps=1"}
    assert first["group"] == second["group"] and first["group"].startswith("steps=0,1 ")
    assert first["provenance"]["protocol_hash"] in first["tags"] and "mine" in first["tags"]
    assert {"config_hash", "latents", "data", "generator", "command", "version", "versions"} <= set(first["provenance"])
    assert sweep([*words, "output=b"], monkeypatch) == 0
    assert heads(tmp_path / "b")[0]["group"] == first["group"]  # begun again, it is the same sweep
    alone = [word for word in words if word not in ("-m", "steps=0,1")]
    for rate in (0.1, 0.2):
        assert sweep([*alone, f"optimizer.lr={rate}", "output=c"], monkeypatch) == 0
    first, second = heads(tmp_path / "c")
    assert first["name"] != second["name"] and first["group"] is None
    assert all(len(one["name"]) <= 128 and one["provenance"]["config_hash"] in one["name"] for one in (first, second))


def test_a_failing_cell_is_recorded_and_the_others_are_done(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = [word for word in words if word not in ("data=counted", "projector=[mean]")]
    words += ["data=folder", "data.path=a,b", "projector=[mean],[optimization]", "projector.optimization.patience=5"]
    (tmp_path / "a").mkdir()
    write_png(tmp_path / "a" / "x.png", torch.zeros(3, 16, 16))
    assert sweep(words, monkeypatch) == 1
    said = capsys.readouterr()
    assert "sweep: 4 cells: 1 done, 2 not fitting, 1 failed\n" in said.out
    assert "failed: data.path=b projector=[optimization]: data.path: " in said.out
    assert "does not fit: data.path=a projector=[mean]: projector.optimization.patience: 'optimization' was" in said.out
    assert said.err.count("error: ") == 1 and said.err.count("does not fit: ") == 2 and "Traceback" not in said.err
    files = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/invert/failed/*.json")]
    (built,) = [file for file in files if file["traceback"]]
    assert built["status"] == "failed" and built["reason"].startswith("data.path: ") and built["seed"] == 0
    assert "in make_job" in built["traceback"] and "data.path=b" in built["overrides"] and built["label"] is None

    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").mkdir()
    write_png(tmp_path / "a" / "x.png", torch.ones(3, 16, 16))  # what lay in a lies in b, and is known there too
    words = [word for word in words if "projector" not in word] + ["projector=[optimization]"]
    assert sweep([*words, "projector.optimization.patience=5"], monkeypatch) == 0
    assert "sweep: 2 cells: 1 done, 1 finished before\n" in capsys.readouterr().out
    assert not (tmp_path / "outputs" / "invert" / "failed" / f"{built['config_hash']}.json").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_sweep_that_is_asked_to_end_leaves_the_rest_undone(
    number: int,
    code: int,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    words += ["data.seed=0,1,2"]
    measure, seen = batches.measure, []

    def ended(*arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), number)
        return measure(*arguments)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with monkeypatch.context() as patch:
        patch.setattr(batches, "measure", ended)
        assert sweep(words, monkeypatch) == code
    signal.signal(signal.SIGINT, before)
    said = capsys.readouterr()
    assert "sweep: 2 cells: 1 done, 1 ended early and can go on\nundone: data.seed=1: ended from outside\n" in said.out
    assert "the same command goes on" in said.err and "Traceback" not in said.err
    assert not list(tmp_path.glob("outputs/invert/failed/*")) and not list(tmp_path.rglob("failed.txt"))
    assert sweep(words, monkeypatch) == 0
    assert "sweep: 3 cells: 2 done, 1 finished before\n" in capsys.readouterr().out


def test_what_does_not_fit_is_no_failure(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = [word for word in words if word != "projector=[mean]"]
    assert sweep([*words, "projector=[mean],[encoder]"], monkeypatch) == 0
    said = capsys.readouterr()
    assert "sweep: 2 cells: 1 done, 1 not fitting\ndoes not fit: projector=[encoder]: encoder: " in said.out
    assert "error" not in said.err and "does not fit: " in said.err
    (record,) = tmp_path.glob("outputs/invert/failed/*.json")
    assert json.loads(record.read_text())["status"] == "unfit"
    assert sweep([*words, "projector=[encoder]", "seed=0,1"], monkeypatch) == 1, "nothing fits: the command is wrong"


def test_a_key_that_no_cell_has_ends_the_sweep_at_once(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert sweep([*words, "stesp=3", "seed=0,1"], monkeypatch) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: stesp: the config has no key 'stesp'; did you mean 'steps'?")
    assert not list(tmp_path.glob("outputs/invert")) and "sweep" not in said.out


def test_a_choice_that_does_not_exist_ends_the_sweep_before_its_first_cell(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = [word for word in words if word != "projector=[mean]"]
    assert sweep([*words, "seed=0,1", "projector=[mean],[optimisation]"], monkeypatch) == 2
    assert "optimisation" in capsys.readouterr().err
    assert not list(tmp_path.glob("outputs/invert"))


def test_of_many_values_only_new_choices_and_keys_are_composed_ahead() -> None:
    composed: list[list[str]] = []
    loader = SimpleNamespace(
        get_group_options=lambda group, **place: ["a", "b"] if group == "method" else [],
        load_sweep_config=lambda config, overrides: composed.append(overrides),
    )
    config = OmegaConf.create({"hydra": {"job": {"config_name": "invert"}, "overrides": {"hydra": []}}})
    sweeper = basic_sweeper.BasicSweeper(max_batch_size=None)  # the class of now: Hydra loads its plugins anew
    sweeper.hydra_context, sweeper.config = SimpleNamespace(config_loader=loader), config
    cells = [[f"method={method}", f"seed={seed}"] for method in "ab" for seed in range(50)] + [["method=b", "+x.y=1"]]
    sweeper.validate_batch_is_legal(cells)
    assert composed == [["method=a", "seed=0"], ["method=b", "seed=0"], ["method=b", "+x.y=1"]]


@pytest.mark.slow
def test_a_cell_at_work_elsewhere_is_left_to_it(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words += ["data.seed=0,1"]
    assert sweep(words, monkeypatch) == 0
    (first, *_) = sorted(tmp_path.glob("outputs/invert/*/result.json"))
    first.unlink()
    with hold(first.parent / ".lock"):
        assert sweep(words, monkeypatch) == 0
        said = capsys.readouterr().out
        assert "sweep: 2 cells: 1 finished before, 1 left to other processes\nleft: data.seed=" in said
        assert f"left to another process: {first.parent.relative_to(tmp_path)}\n" in said
        seed = said.partition("\nleft: data.seed=")[2][0]
        alone = [word for word in words if word not in ("-m", "data.seed=0,1")]
        assert sweep([*alone, f"data.seed={seed}"], monkeypatch) == 2
        assert "wait for it" in capsys.readouterr().err
    assert sweep(words, monkeypatch) == 0
    assert len(results(tmp_path)) == 2 and sorted(counts(tmp_path).values()) == [1, 2]


def wait_for(condition: Callable[[], bool], seconds: float = 100) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def standings(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of the leaderboard of each protocol, without what differs from one run to the next."""
    boards = [board for board, _ in make_boards(find_runs([folder]), Choices(sampling=Sampling(draws=100)))]
    for row in [row for board in boards for row in board["rows"]]:
        for timed in (row["values"], row["per_image"]):
            del timed["seconds"]
        del row["folders"]
    return {board["protocol"]["hash"]: board["rows"] for board in boards}


@pytest.mark.slow
def test_a_killed_sweep_goes_on_with_the_same_command_to_the_same_leaderboard(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words[words.index("projector=[mean]")] = "projector=[mean],[best_of]"
    words += ["data.seed=0,1", "data.seconds=0.3"]
    environment = ENVIRONMENT | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"}
    command = [sys.executable, str(ROOT / "invert.py"), *words]
    victim = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    wait_for(lambda: len(results(tmp_path)) == 2 and counts(tmp_path).total() == 3)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    finished = results(tmp_path)
    assert sweep(words, monkeypatch) == 0
    after = results(tmp_path)
    assert len(after) == 4 and {path: after[path] for path in finished} == finished
    assert counts(tmp_path) == {"0": 3, "1": 2}  # the cell that was killed began twice
    assert sweep([*words, f"output={tmp_path}/whole"], monkeypatch) == 0
    resumed = standings(tmp_path / "outputs")
    assert resumed == standings(tmp_path / "whole")
    assert [sorted(row["id"] for row in rows) for rows in resumed.values()] == [["best_of", "mean"]] * 2


@pytest.mark.slow
def test_two_workers_on_one_sweep_do_each_cell_once(words: list[str], tmp_path: Path) -> None:
    words += ["data.seed=range(0,12)", "data.seconds=0.3"]
    environment = ENVIRONMENT | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"}
    command = [sys.executable, str(ROOT / "invert.py"), *words]
    workers = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert counts(tmp_path) == {str(seed): 1 for seed in range(12)} and len(results(tmp_path)) == 12
    assert all("sweep: 12 cells: " in one for one in said)


def test_cells_are_named_by_what_they_do_not_share() -> None:
    assert list(distinct([["a=1", "b=2"], ["a=1", "b=3"]])) == ["b=2", "b=3"]
    assert list(distinct([["a=1", "b=2"]])) == ["a=1 b=2"]
