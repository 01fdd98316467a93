"""A data set in parts: whoever does them, in whatever order, the result is that of the undivided run."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import zstar.projection.batches
from zstar.checkpoints.io import load_weights, read_card
from zstar.cli import invert
from zstar.projection.run import run
from zstar.projection.shards import Shard, take_shard
from zstar.runs.locks import LeftToAnother, hold

WORDS = ["generator=pixels", "generator.resolution=16", "space=pixels", "data.resolution=16", "data.count=9"]
WORDS += ["batch_size=2", "steps=2", "loss=[pixel]", "metric=[psnr]", "logger=none", "projector=[optimization]"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first image of each batch that is projected, in order; ``stop`` among them ends with an error."""
    real, seen = zstar.projection.batches.project_with_start, []

    def counting(problem: Any, projectors: Any, targets: Any, callbacks: Any) -> Any:
        seen.append(targets.ids[0])
        if len(seen) > 1 and seen[-2] == "stop":
            raise KeyboardInterrupt
        return real(problem, projectors, targets, callbacks)

    monkeypatch.setattr(zstar.projection.batches, "project_with_start", counting)
    return seen


def ask(composed: Callable[..., Any], folder: Path, *words: str) -> dict[str, Any]:
    return run(composed("invert", *WORDS, f"output={folder}", *words))


def found(result: dict[str, Any]) -> tuple[Any, pl.DataFrame]:
    """What a run has found, but for the time that it took."""
    folder = Path(result["folder"])
    rows = pl.read_parquet(folder / "results.parquet").filter(pl.col("metric") != "seconds").drop("seconds")
    return load_weights(folder / "latents.safetensors")["latent"], rows


def test_shards_in_any_order_find_what_the_whole_finds(
    composed: Callable[..., Any], tmp_path: Path, made: list[str], capsys: pytest.CaptureFixture
) -> None:
    parts = [ask(composed, tmp_path / "parts", f"data.shard={shard}", "data.shards=3") for shard in (2, 0)]
    assert all("summary" not in part and not part["skipped"] for part in parts)
    assert "shard 0 of 3: done; 2 of all 5 batches are left to the others" in capsys.readouterr().out
    assert made == ["test-000004", "test-000000", "test-000006"]
    ask(composed, tmp_path / "parts", "data.shard=0", "data.shards=3")
    assert len(made) == 3
    joined = ask(composed, tmp_path / "parts", "data.shard=1", "data.shards=3")
    assert made[3:] == ["test-000002", "test-000008"]
    whole = ask(composed, tmp_path / "whole")
    assert joined["config_hash"] == whole["config_hash"] and joined["images"] == whole["images"] == 9
    (latent, rows), (wanted, wanted_rows) = found(joined), found(whole)
    assert latent.equal(wanted) and rows.equals(wanted_rows)
    ids = read_card(Path(joined["folder"]) / "latents.safetensors")["ids"]
    assert ids == [f"test-{number:06d}" for number in range(9)]
    for key in ("psnr", "evaluations"):
        assert joined["summary"][key] == whole["summary"][key]
    assert not (Path(joined["folder"]) / "parts").exists()
    assert len(made) == 10
    for words in (["data.shard=2", "data.shards=3"], ["data.shard=0", "data.shards=2"], []):
        assert ask(composed, tmp_path / "parts", *words)["skipped"]
    assert len(made) == 10 and "shard:" not in (Path(joined["folder"]) / "config.yaml").read_text()


def test_a_shard_that_was_killed_is_finished_by_anybody(
    composed: Callable[..., Any], tmp_path: Path, made: list[str]
) -> None:
    ask(composed, tmp_path, "data.shard=0", "data.shards=2")
    assert len(made) == 3
    made.append("stop")
    with pytest.raises(KeyboardInterrupt):
        ask(composed, tmp_path, "data.shard=1", "data.shards=2")
    del made[3:]
    result = ask(composed, tmp_path)
    assert result["images"] == 9 and made[3:] == ["test-000002", "test-000006"]


def test_batches_at_work_elsewhere_are_left_or_waited_for(
    composed: Callable[..., Any], tmp_path: Path, made: list[str]
) -> None:
    first = ask(composed, tmp_path, "data.shard=0", "data.shards=5")
    lock = Path(first["folder"]) / "parts" / ".000001.lock"
    with hold(lock):
        with pytest.raises(LeftToAnother):
            ask(composed, tmp_path, "data.shard=1", "data.shards=2")
        assert made == ["test-000000", "test-000006"]
    held, done = threading.Event(), threading.Event()

    def other() -> None:
        with hold(lock):
            held.set()
            done.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert held.wait(10)
    with hold(Path(first["folder"]) / ".lock"):
        with pytest.raises(LeftToAnother):
            ask(composed, tmp_path)
        ask(composed, tmp_path, "data.shard=2", "data.shards=5")
    threading.Timer(2.0, done.set).start()
    assert ask(composed, tmp_path)["images"] == 9 and len(made) == 5
    thread.join()


@pytest.mark.slow
def test_all_shards_as_one_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[str], capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["invert.py", "-m", *WORDS, "data.shard=range(0,4)", "data.shards=4"])
    invert()
    assert "sweep: 4 cells: 4 done\n" in capsys.readouterr().out
    assert len(list(tmp_path.glob("outputs/invert/*/result.json"))) == 1 and len(made) == 5
    invert()
    assert "sweep: 4 cells: 4 finished before\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data.shard=4", "data.shards=4"], "data.shard: 4 of data.shards=4 is none; choose 0 to 3"),
        (["data.shard=1"], "data.shard: 1 of data.shards=1 is none; say how many there are, data.shards=…"),
        (["data.shards=4"], "data.shards: of 4 none is chosen; give -m 'data.shard=range(0,4)', or one of them"),
        (["data.shard=a", "data.shards=4"], "data.shard: 'a' is no whole number; give one, such as 0"),
        (["data.shards=0"], "data.shards: 0 is no number of parts; give 1 or more"),
        (["data.shrad=1"], "data.shrad: 'data' has no key 'shrad'; did you mean 'shard'?"),
    ],
)
def test_shards_that_there_are_not(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["invert.py", *WORDS, *words])
    with pytest.raises(SystemExit) as end:
        invert()
    assert end.value.code == 2 and capsys.readouterr().err.startswith(f"error: {sentence}")


def test_shards_share_out_every_batch() -> None:
    for count in (1, 3, 7):
        batches = [place for index in range(count) for place in Shard(index, count).batches(10)]
        assert sorted(batches) == list(range(10))
    plain, shard = take_shard({"data": {"path": "x", "shard": 2, "shards": 5}, "seed": 0})
    assert plain == {"data": {"path": "x"}, "seed": 0} and shard == Shard(2, 5)
