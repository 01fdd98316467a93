"""The run folder: whole files whatever happens, stable hashes, and failures that are done again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from zstar.runs import folder as runs

PLAIN = {
    "seed": 0,
    "space": {"_target_": "zstar.spaces.w.W"},
    "loss": {"pixel": {"weight": 1.0}, "lpips": {"weight": 0.8}},
    "projector": {"mean": {"samples": 8}, "optimization": {"steps": 400}},
    "logger": {"_target_": "zstar.loggers.csv.CSV"},
    "output": "outputs/a",
}


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a plug that is pulled can leave the new name on an empty file."""
    events, replace = [], os.replace
    monkeypatch.setattr(os, "fsync", lambda file: events.append(os.fstat(file).st_size))
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("renamed"), replace(*names)))
    path = runs.write_atomic(tmp_path / "a.txt", lambda part: part.write_text("whole"))
    assert events == [5, "renamed"] and path.read_text() == "whole"


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    target = runs.write_json(tmp_path / "result.json", {"old": True})
    program = (
        "import os, signal, sys\n"
        "from zstar.runs.folder import write_atomic\n"
        "def writer(path):\n"
        "    path.write_text('{\"new\": tr')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomic(sys.argv[1], writer)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(runs.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program, str(target)], env=environment)
    assert done.returncode == -signal.SIGKILL
    assert json.loads(target.read_text()) == {"old": True}
    assert len(list(tmp_path.iterdir())) == 2  # the half-written file is still there, under another name
    runs.clear_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_writer_that_raises_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = runs.write_json(tmp_path / "result.json", {"old": True})

    def writer(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        runs.write_atomic(target, writer)
    assert json.loads(target.read_text()) == {"old": True}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_the_temporary_name_keeps_the_suffix_and_folders_are_made(tmp_path: Path) -> None:
    seen: list[str] = []
    runs.write_atomic(tmp_path / "a" / "b.png", lambda path: (seen.append(path.suffix), path.write_bytes(b"x")))
    assert seen == [".png"]
    assert (tmp_path / "a" / "b.png").read_bytes() == b"x"


def test_the_hash_ignores_order_number_type_logger_and_output() -> None:
    wanted = runs.config_hash(PLAIN)
    same = dict(reversed(PLAIN.items())) | {"logger": None, "output": "elsewhere"}
    same["loss"] = {"lpips": {"weight": 0.8}, "pixel": {"weight": 1}}
    assert runs.config_hash(same) == wanted
    assert wanted == runs.config_hash(json.loads(json.dumps(PLAIN)))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"seed": None},
        {"loss": {"pixel": {"weight": 1.0}, "lpips": {"weight": 0.80001}}},
        {"projector": {"optimization": {"steps": 400}, "mean": {"samples": 8}}},  # another order of the steps
        {"data": {"logger": "a name that is ignored at the top only"}},
    ],
)
def test_the_hash_sees_what_changes_results(change: dict) -> None:
    assert runs.config_hash(PLAIN | change) != runs.config_hash(PLAIN)


def test_only_a_finished_run_with_the_same_config_counts_as_finished(tmp_path: Path) -> None:
    assert runs.finished(tmp_path, "abc") is None
    runs.record_result(tmp_path, {"config_hash": "abc", "images": 3})
    assert runs.finished(tmp_path, "abc")["images"] == 3
    assert runs.finished(tmp_path, "abd") is None


def test_a_failed_run_is_recorded_and_done_again(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("space: there is no 'q'")

    try:
        fail()
    except ValueError as error:
        record = runs.record_failure(tmp_path, error)
    text = record.read_text()
    assert "in fail" in text and "space: there is no 'q'" in text
    assert runs.finished(tmp_path, "abc") is None
    assert not (tmp_path / "result.json").exists()
    runs.record_result(tmp_path, {"config_hash": "abc"})
    assert runs.finished(tmp_path, "abc") and not record.exists()


def test_safe_names_stay_in_their_folder_and_apart() -> None:
    hostile = ["../../etc/passwd", "/etc/passwd", "a/b", "a_b", "a\\b", "a b", "..", ".", "", "<script>", "ü" * 300]
    hostile += ["x" * 300, "x" * 301, "a\nb", "a\0b", "-rf", ".hidden", "caf\udce9", "NAME.png", "name.png"]
    hostile += [runs.safe_name("a/b")]  # an image that is called like another one's safe name
    names = [runs.safe_name(identifier) for identifier in hostile]
    assert len(set(names)) == len(names)
    for name in names:
        assert 0 < len(name) <= 120 and name[0].isalnum() and not set(name) & set("/\\<>\0\n ")
    assert runs.safe_name("test-000012") == "test-000012"


def test_provenance_is_plain_and_says_the_commit_in_a_checkout() -> None:
    record = {"commit": runs.commit(), "versions": runs.versions(), "machine": runs.machine(torch.device("cpu"))}
    assert json.loads(json.dumps(record)) == record
    assert record["versions"]["zstar"] == record["commit"]["version"]
    assert {"python", "torch", "numpy"} <= set(record["versions"])
    assert record["machine"]["cpu"] and record["machine"]["cores"] >= 1
    if (Path(runs.__file__).parents[3] / ".git").exists():
        assert len(record["commit"]["commit"]) == 40 and isinstance(record["commit"]["dirty"], bool)
