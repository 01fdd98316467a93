"""Loggers: what was logged is read back from the files, and no job disturbs another."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb
from hydra.utils import get_class
from offline_runs import history, records, summary_of
from omegaconf import OmegaConf
from PIL import Image
from wandb.proto import wandb_internal_pb2 as wandb_log

from zstar.images import grid, to_uint8
from zstar.loggers.base import AbstractLogger
from zstar.loggers.csv import CSV
from zstar.loggers.lightning import TrainerLogger
from zstar.loggers.login import choose_mode
from zstar.loggers.none import NoLogger
from zstar.loggers.tensorboard import TensorBoard
from zstar.loggers.wandb import WandB
from zstar.runs.record import Record

ROOT = Path(__file__).parents[1]
CONFIG = {"seed": 3, "loss": {"pixel": {"weight": 1.0}}, "output": "outputs/x"}
FROM = {"config_hash": "abc", "command": "python invert.py", "versions": {"torch": "2"}}
PICTURES = torch.linspace(-1, 1, 4 * 3 * 8 * 8).reshape(4, 3, 8, 8)


def log_everything(logger: AbstractLogger, folder: Path, seed: int = 3, failure: str | None = None) -> None:
    config = {**CONFIG, "seed": seed}
    logger.start(Record(folder, config, "invert", "a run", tags=["w"], group="benchmark", provenance=FROM))
    for step in (0, 10):
        logger.metrics({"loss/total": 2.0 / (step + 1) + seed, "loss/pixel": 0.5}, step)
    logger.images("reconstructions", grid(PICTURES, 2), step=10)
    rows = [["first", 31.5, PICTURES[0]], ["second, with comma", 28.25, PICTURES[1]]]
    logger.table("images", ["image", "psnr", "picture"], rows)
    logger.summary({"psnr": 29.875, "status": "fine"})
    logger.finish(failure)


def run_of(folder: Path) -> wandb_log.RunRecord:
    """The head of a finished run."""
    return next(record.run for record in records(folder) if record.WhichOneof("record_type") == "run")


def test_wandb_offline_holds_config_metrics_pictures_table_and_summary(tmp_path: Path) -> None:
    home = Path("~/.local/share/wandb/artifacts/staging").expanduser()
    before = set(home.iterdir()) if home.is_dir() else set()
    log_everything(WandB(mode="offline"), tmp_path)
    found = records(tmp_path)

    run = next(record.run for record in found if record.WhichOneof("record_type") == "run")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert {name: config[name] for name in CONFIG} == CONFIG and config["provenance"] == FROM
    assert (run.project, run.job_type, run.run_group, list(run.tags)) == ("zstar", "invert", "benchmark", ["w"])
    assert run.display_name == "a run"

    logged = history(found)
    assert logged["loss/total"] == [5.0, pytest.approx(3 + 2 / 11)]
    assert logged["step"][:2] == [0, 10]

    files = next((tmp_path / "wandb").glob("offline-run-*")) / "files"
    picture = logged["reconstructions"][0]
    shown = np.asarray(Image.open(files / picture["path"]))
    assert np.array_equal(shown, to_uint8(grid(PICTURES, 2)[None])[0].numpy())

    assert logged["images"][0]["_type"] == "table-file" and logged["images"][0]["nrows"] == 2
    artifact = next(record.artifact for record in found if record.WhichOneof("record_type") == "artifact")
    parts = {entry.path: Path(entry.local_path) for entry in artifact.manifest.contents}
    table = json.loads(next(path for name, path in parts.items() if name.endswith("table.json")).read_text())
    assert table["columns"] == ["image", "psnr", "picture"]
    assert [row[:2] for row in table["data"]] == [["first", 31.5], ["second, with comma", 28.25]]
    cell = np.asarray(Image.open(parts[table["data"][1][2]["path"]]))
    assert np.array_equal(cell, to_uint8(PICTURES[1][None])[0].numpy())
    assert all(tmp_path in path.parents for path in parts.values()), "everything is kept in the run's folder"
    assert before == (set(home.iterdir()) if home.is_dir() else set())

    assert summary_of(found)["psnr"] == 29.875
    assert next(r.exit.exit_code for r in found if r.WhichOneof("record_type") == "exit") == 0


def test_two_jobs_in_one_process_are_two_runs_and_a_failed_one_is_marked(tmp_path: Path) -> None:
    logger = WandB(mode="offline")
    log_everything(logger, tmp_path / "a", seed=1)
    log_everything(logger, tmp_path / "b", seed=2, failure="space: no")
    logger.finish()  # a second time: nothing
    first, second = records(tmp_path / "a"), records(tmp_path / "b")
    ids, seeds, exits = [], [], []
    for found in (first, second):
        run = next(record.run for record in found if record.WhichOneof("record_type") == "run")
        ids.append(run.run_id)
        seeds += [json.loads(item.value_json) for item in run.config.update if item.key == "seed"]
        exits.append(next(r.exit.exit_code for r in found if r.WhichOneof("record_type") == "exit"))
    assert ids[0] != ids[1]
    assert seeds == [1, 2]
    assert exits == [0, 1]
    assert "failure" not in summary_of(first) and summary_of(second)["failure"] == "space: no"
    assert history(first)["loss/total"][0] == 3 and history(second)["loss/total"] == [4.0, pytest.approx(2 + 2 / 11)]


def test_what_the_environment_says_wins(nobody: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"NAME": "theirs", "TAGS": "x, w", "RUN_GROUP": "g", "JOB_TYPE": "j", "NOTES": "why"}.items():
        nobody.setenv(f"WANDB_{name}", value)
    nobody.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    log_everything(WandB(mode="offline"), tmp_path / "run")
    run = run_of(tmp_path / "elsewhere")
    assert (run.display_name, run.run_group, run.job_type, run.notes) == ("theirs", "g", "j", "why")
    assert sorted(run.tags) == ["w", "x"]


def test_a_job_that_goes_on_after_a_kill_goes_on_in_its_run(nobody: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log_everything(WandB(mode="offline"), tmp_path)
    first = run_of(tmp_path).run_id
    shutil.rmtree(next((tmp_path / "wandb").glob("offline-run-*")))  # of which there may be one a second
    log_everything(WandB(mode="offline"), tmp_path)
    assert run_of(tmp_path).run_id == first
    wandb.teardown()
    nobody.setenv("WANDB_RUN_ID", "chosen")
    shutil.rmtree(next((tmp_path / "wandb").glob("offline-run-*")))
    log_everything(WandB(mode="offline"), tmp_path)
    assert run_of(tmp_path).run_id == "chosen"


PROGRAM = """
import sys
from pathlib import Path
from zstar.loggers.wandb import WandB
from zstar.runs.record import Record
logger = WandB()
logger.start(Record(Path(sys.argv[1]), {"seed": 0}, "train", "run"))
logger.metrics({"loss": 1.0}, 0)
logger.finish()
"""


@pytest.mark.slow
def test_without_a_login_nothing_is_asked_and_one_line_says_offline(tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment = {**inherited, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "run")]
    done = subprocess.run(
        program, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, close_fds=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("W&B offline (no login found): ") and done.stdout.count("\n") == 1
    assert Path(done.stdout.split(": ")[1].strip()).is_dir() and done.stderr == ""
    assert history(records(tmp_path / "run"))["loss"] == [1.0]


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A machine where nobody has logged in to W&B and nothing is configured."""
    wandb.teardown()  # W&B reads the environment once, and keeps the address of its service in it
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield monkeypatch
    wandb.teardown()


def test_a_login_that_does_not_work_ends_offline(
    nobody: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    nobody.setenv("WANDB_API_KEY", "too-short")
    assert choose_mode("auto") == ("online", False)
    log_everything(WandB(), tmp_path)
    assert "W&B offline (could not go online; " in capfd.readouterr().out
    assert len(history(records(tmp_path))["loss/total"]) == 2
    with pytest.raises(ValueError, match=r"^logger.mode: W&B can't go online \(.*too-short|^logger.mode: .*40\+ char"):
        WandB(mode="online").start(Record(tmp_path / "b", CONFIG, "train", "run"))


def test_wandb_mode_wins_over_a_login(nobody: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nobody.setenv("WANDB_API_KEY", "k" * 40)
    for said, wanted in (("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled"), ("online", "online")):
        nobody.setenv("WANDB_MODE", said)
        assert choose_mode("auto") == (wanted, True)
    assert choose_mode("offline") == ("offline", True)
    nobody.setenv("WANDB_MODE", "disabled")
    wandb.teardown()
    log_everything(WandB(), tmp_path / "run")
    assert not list(tmp_path.rglob("*.wandb"))


def test_online_without_a_login_is_one_sentence(nobody: pytest.MonkeyPatch) -> None:
    nobody.setenv("WANDB_MODE", "online")
    with pytest.raises(ValueError, match="^logger.mode: W&B can't go online without a login; run `wandb login` or"):
        choose_mode("auto")


@pytest.mark.parametrize(
    "machine, wanted", [("api.wandb.ai", "online"), ("api.forge.coreweave.com", "online"), ("example.org", "offline")]
)
def test_a_login_is_found_in_netrc(nobody: pytest.MonkeyPatch, tmp_path: Path, machine: str, wanted: str) -> None:
    (tmp_path / "logins").write_text(f"machine {machine} login user password {'k' * 40}\n")
    assert choose_mode("auto") == ("offline", False)
    nobody.setenv("NETRC", str(tmp_path / "logins"))
    assert choose_mode("auto") == (wanted, False)


def test_a_project_that_wandb_refuses_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="^logger: W&B refuses this run .Invalid project name 'lab/team:x'"):
        WandB(project="lab/team:x", mode="offline").start(Record(tmp_path, CONFIG, "train", "run"))


def test_csv_is_read_back(tmp_path: Path) -> None:
    log_everything(CSV(), tmp_path, failure="too late")
    with (tmp_path / "log" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"step": "0", "name": "loss/total", "value": "5.0"} and len(rows) == 4
    with (tmp_path / "log" / "images.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["image"] for row in table] == ["first", "second, with comma"] and table[1]["psnr"] == "28.25"
    cell = np.asarray(Image.open(tmp_path / "log" / table[1]["picture"]))
    assert np.array_equal(cell, to_uint8(PICTURES[1][None])[0].numpy())
    assert Image.open(tmp_path / "log" / "images" / "reconstructions-0000010.png").size == (18, 18)
    assert json.loads((tmp_path / "log" / "summary.json").read_text())["psnr"] == 29.875
    record = json.loads((tmp_path / "log" / "run.json").read_text())
    assert (record["status"], record["failure"]) == ("failed", "too late")
    assert record["config"] == CONFIG and record["provenance"] == FROM


def test_csv_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for step in (0, 1):
        logger = CSV()
        logger.start(Record(tmp_path, CONFIG, "train", "run"))
        logger.metrics({"loss": 1.0}, step)
    assert (tmp_path / "log" / "metrics.csv").read_text().split() == ["step,name,value", "0,loss,1.0", "1,loss,1.0"]


def test_tensorboard_is_read_back(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log_everything(TensorBoard(), tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss/pixel")] == [(0, 0.5), (10, 0.5)]
    assert (events.Images("reconstructions")[0].width, len(events.Images("images/picture"))) == (18, 2)
    text = events.Tensors("images/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| second, with comma | 28.25 |" in text
    assert '"seed": 3' in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()


def test_tensorboard_that_is_not_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"^logger: 'tensorboard' needs the package .* install zstar\[tensorboard\]"):
        TensorBoard()


@pytest.mark.parametrize("make", [CSV, TensorBoard, NoLogger, lambda: WandB(mode="offline")])
def test_a_trainer_writes_to_the_same_record(tmp_path: Path, make: Callable[[], AbstractLogger]) -> None:
    logger = make()
    logger.finish()  # before anything was started: nothing
    logger.start(Record(tmp_path, CONFIG, "train", "run"))
    bridge = TrainerLogger(logger)
    bridge.log_metrics({"loss": 0.25, "epoch": 0}, step=7)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    bridge.log_image("samples", [tmp_path / "red.png"], step=7)
    logger.finish()
    if isinstance(logger, CSV):
        assert (tmp_path / "log" / "metrics.csv").read_text().split() == ["step,name,value", "7,loss,0.25"]
        assert Image.open(tmp_path / "log" / "images" / "samples-0000007.png").getpixel((4, 4)) == (255, 0, 0)
    if isinstance(logger, WandB):
        logged = history(records(tmp_path))
        assert logged["loss"] == [0.25] and logged["step"] == [7, 7] and "epoch" not in logged


def test_every_config_names_a_logger_that_can_be_built() -> None:
    paths = sorted((ROOT / "conf" / "logger").glob("*.yaml"))
    assert [path.stem for path in paths] == ["csv", "none", "tensorboard", "wandb"]
    for path in paths:
        node = dict(OmegaConf.load(path))
        assert isinstance(get_class(node.pop("_target_"))(**node), AbstractLogger)
