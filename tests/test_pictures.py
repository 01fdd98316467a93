"""Reading ahead and writing behind: it changes nothing, and no batch is done without its pictures."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import zstar.projection.batches
from zstar.checkpoints.io import load_weights
from zstar.cli import invert
from zstar.data.ahead import Ahead
from zstar.data.base import AbstractData, Batch
from zstar.data.classes import Classified
from zstar.data.companions import Companions
from zstar.data.cottages import Cottages
from zstar.data.edited import Edited
from zstar.data.reading import read_image
from zstar.data.samples import Samples
from zstar.data.subset import Subset
from zstar.edits.hue import Hue
from zstar.images import to_uint8, write_pixels, write_png
from zstar.metrics.kid import KID
from zstar.projection.log import pictures
from zstar.projection.progress import Spent
from zstar.projection.run import run
from zstar.runs.folder import write_atomic
from zstar.runs.writers import THREADS, Writers, wait_for

ROOT = Path(__file__).parents[1]
WORDS = ["generator=pixels", "generator.resolution=16", "space=pixels", "data.resolution=16", "data.count=7"]
WORDS += ["batch_size=2", "steps=1", "loss=[pixel]", "metric=[psnr]", "logger=none", "projector=[optimization]"]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Noted(AbstractData):
    """Cottages that note each batch that is read, with the thread that does it; some can't be."""

    def __init__(self, count: int = 7, broken: int | None = None) -> None:
        self.data, self.broken = Cottages(count, "test", 16), broken
        self.reads: list[tuple[list[int], str]] = []

    def __len__(self) -> int:
        return len(self.data)

    def read(self, indices: Sequence[int]) -> Batch:
        self.reads.append((list(indices), threading.current_thread().name))
        if self.broken in indices:
            raise ValueError("data: the archive is gone")
        return self.data.read(indices)

    def fingerprint(self) -> str:
        return "noted"

    def split(self, count: int) -> tuple[AbstractData, None]:
        return self, None


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``around(action)``: ``action`` is called with the first image of each batch before that is projected."""
    real = zstar.projection.batches.project_with_start

    def install(action: Callable[[str], Any]) -> None:
        def acting(problem: Any, projectors: Any, targets: Any, callbacks: Any) -> Any:
            action(targets.ids[0])
            return real(problem, projectors, targets, callbacks)

        monkeypatch.setattr(zstar.projection.batches, "project_with_start", acting)

    return install


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``writing(action)``: ``action`` is called with the path of each picture before that is written."""

    def install(action: Callable[[Path], Any]) -> None:
        def acting(path: Path, pixels: torch.Tensor) -> None:
            action(path)
            write_pixels(path, pixels)

        monkeypatch.setattr(zstar.projection.batches, "write_pixels", acting)

    return install


def ask(composed: Callable[..., Any], folder: Path, *words: str) -> dict[str, Any]:
    return run(composed("invert", *WORDS, f"output={folder}", *words))


def contents(folder: str | Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).glob("*/*.png")}


def done(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*/parts/*.json"))


def test_all_files_are_written_and_no_more_than_may_wait_are_in_memory() -> None:
    gate, written = threading.Event(), []

    def write(number: int) -> None:
        gate.wait(10)
        written.append(number)

    with Writers(3) as writers:
        first = [writers.write(write, number) for number in range(THREADS + 3)]
        more = threading.Thread(target=writers.write, args=(write, -1))
        more.start()
        more.join(0.05)
        assert more.is_alive() and not written
        gate.set()
        more.join()
        wait_for(first)
        assert set(range(THREADS + 3)) <= set(written)
    assert len(written) == THREADS + 4


def test_a_file_that_cannot_be_written_is_the_error_of_the_work() -> None:
    def fail() -> None:
        raise FULL

    def late(writers: Writers) -> None:
        for _ in range(100):
            writers.write(fail)

    with pytest.raises(OSError, match="No space left"), Writers(2) as writers:
        writers.write(fail)
    with pytest.raises(OSError, match="No space left"), Writers(2) as writers:
        late(writers)
    written: list[int] = []
    with pytest.raises(KeyError), Writers(200) as writers:
        gate = threading.Event()
        for number in range(100):
            writers.write(lambda number=number, gate=gate: (gate.wait(10), written.append(number)))
        threading.Timer(0.05, gate.set).start()
        raise KeyError
    assert len(written) <= THREADS  # what was not begun when the work failed is not written


def test_files_whose_long_names_begin_alike_can_be_written_at_once(tmp_path: Path) -> None:
    both = threading.Barrier(2)

    def fill(text: str) -> Callable[[Path], None]:
        def write(file: Path) -> None:
            both.wait(10)
            file.write_text(text)
            both.wait(10)

        return write

    names = [f"{'long' * 20}-{letter}.txt" for letter in "ab"]
    with Writers(2) as writers:
        for name in names:
            writers.write(write_atomic, tmp_path / name, fill(name))
    assert [(tmp_path / name).read_text() for name in names] == names


def test_a_run_writes_the_same_pictures_as_without_threads(
    composed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["projector=[random,optimization]", "operator=[downscale]", "operator.downscale.factor=2"]
    threaded = contents(ask(composed, tmp_path / "threads", *words)["folder"])

    def at_once(self: Writers, function: Callable[..., Any], *arguments: Any) -> Future[None]:
        function(*arguments)
        (done := Future()).set_result(None)
        return done

    monkeypatch.setattr(Writers, "write", at_once)
    alone = contents(ask(composed, tmp_path / "alone", *words)["folder"])
    assert threaded == alone and len(threaded) == 7 * 3
    for index, target in enumerate(Cottages(7, "test", 16).read(range(7)).images):
        written = read_image(threaded[f"targets/test-{index:06d}.png"], 16)
        assert to_uint8(written[None]).equal(to_uint8(target[None]))


def test_a_batch_is_not_done_before_its_pictures_are(
    composed: Callable[..., Any], tmp_path: Path, around: Callable[..., None], writing: Callable[..., None]
) -> None:
    early, waited, projected = [], threading.Event(), []

    def slow(path: Path) -> None:
        if path.stem == "test-000001" and path.parent.name == "reconstructions":
            waited.wait(10)
            time.sleep(0.2)
            early.extend(done(tmp_path))

    def note(name: str) -> None:
        projected.append(name)
        if name == "test-000002":  # begun while the first batch's pictures are being written
            waited.set()

    writing(slow)
    around(note)
    result = ask(composed, tmp_path)
    assert not early and projected[1] == "test-000002" and waited.is_set()
    assert len(contents(result["folder"])) == 14


KILLED = """
import os, signal, sys, time
import zstar.images
import zstar.projection.batches as batches
real = zstar.images.write_pixels

def write(path, pixels):
    if path.stem == "test-000005":  # of the third batch: the second may still be open
        def half(file):
            file.write_bytes(b"torn")
            os.kill(os.getpid(), signal.SIGKILL)
        zstar.images.write_atomic(path, half)
    time.sleep(0.01)
    real(path, pixels)

batches.write_pixels = write
from zstar.cli import invert
invert()
"""


@pytest.mark.slow
def test_a_run_killed_while_pictures_are_written_has_those_of_its_batches(
    composed: Callable[..., Any], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, *WORDS, f"output={tmp_path}"]
    victim = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True)
    assert victim.returncode == -signal.SIGKILL, victim.stderr
    (folder,) = (parts.parent for parts in tmp_path.glob("*/parts"))
    finished = done(tmp_path)
    assert finished[:1] == ["000000.json"] and "000002.json" not in finished
    assert list(folder.glob("*/.test-*.partial.png"))
    for index in range(2 * len(finished)):
        for kind in ("targets", "reconstructions"):
            with Image.open(folder / kind / f"test-{index:06d}.png") as picture:
                picture.load()
    result = ask(composed, tmp_path)
    assert result["images"] == 7 and Path(result["folder"]) == folder and not list(folder.glob("*/.*.partial.png"))
    assert contents(folder) == contents(ask(composed, tmp_path / "smooth")["folder"])


def test_a_full_disk_ends_the_run_in_a_sentence_and_the_batch_is_not_done(
    composed: Callable[..., Any],
    tmp_path: Path,
    writing: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    def fail(path: Path) -> None:
        if path.stem == "test-000003":
            raise FULL

    writing(fail)
    monkeypatch.setattr(sys, "argv", ["invert.py", *WORDS, f"output={tmp_path}"])
    with pytest.raises(SystemExit) as end:
        invert()
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and line.startswith("error: output: No space left on device")
    assert done(tmp_path) == ["000000.json"] and list(tmp_path.glob("*/failed.txt"))
    writing(lambda path: None)
    assert len(contents(ask(composed, tmp_path)["folder"])) == 14


def test_the_next_batch_is_read_while_one_is_projected_and_each_image_once(
    composed: Callable[..., Any], tmp_path: Path, around: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, ahead = Noted(), []
    monkeypatch.setattr("zstar.projection.job.offer", lambda *_, **__: data)

    def look(name: str) -> None:
        deadline = time.monotonic() + 10
        while len(data.reads) < min(len(ahead) + 2, 4) and time.monotonic() < deadline:
            time.sleep(0.005)
        ahead.append(len(data.reads))

    around(look)
    assert ask(composed, tmp_path)["images"] == 7
    assert [indices for indices, _ in data.reads] == [[0, 1], [2, 3], [4, 5], [6]]
    assert ahead == [2, 3, 4, 4]


def test_a_batch_that_cannot_be_read_ends_the_run_after_those_before_it(
    composed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zstar.projection.job.offer", lambda *_, **__: Noted(broken=4))
    with pytest.raises(ValueError, match="the archive is gone"):
        ask(composed, tmp_path)
    assert done(tmp_path) == ["000000.json", "000001.json"]


def test_a_batch_read_ahead_that_others_have_done_is_dropped(
    composed: Callable[..., Any], tmp_path: Path, around: Callable[..., None]
) -> None:
    projected: list[str] = []

    def other(name: str) -> None:
        projected.append(name)
        if len(projected) == 1:
            ask(composed, tmp_path / "run", "data.shard=1", "data.shards=4")

    around(other)
    result = ask(composed, tmp_path / "run")
    assert projected == [f"test-{index:06d}" for index in (0, 2, 4, 6)]
    assert contents(result["folder"]) == contents(ask(composed, tmp_path / "alone")["folder"])


def test_what_a_network_draws_is_not_read_ahead(tiny: torch.nn.Module, tmp_path: Path) -> None:
    samples = Samples(tiny, count=4)
    write_png(tmp_path / "mask.png", torch.ones(1, 16, 16))
    (tmp_path / "classes.csv").write_text("image,class\nsample-000000,0\n")
    for data, computes in ((Cottages(4, "test", 16), False), (samples, True)):
        around = [Edited(data, Hue(), 0.1), Subset(data, [0, 1]), Classified(data, f"{tmp_path}/classes.csv", 2)]
        around += [data, Companions(data, {"mask": str(tmp_path / "mask.png")})]
        assert [one.computes for one in around] == [computes] * 5
    for computes in (False, True):
        data = Noted()
        data.computes = computes
        with Ahead(data, 2) as ahead:
            batches = [ahead.read(index, following) for index, following in ((0, 1), (3, 2), (2, None))]
        here = threading.current_thread().name
        assert {name == here for _, name in data.reads} == {computes}
        assert [batch.ids[0] for batch in batches] == ["test-000000", "test-000006", "test-000004"]
        assert batches[2].images.equal(data.data.read([4, 5]).images)


def test_sets_are_measured_of_the_pictures_as_they_are_written_also_by_a_run_that_goes_on(
    composed: Callable[..., Any], tmp_path: Path, around: Callable[..., None]
) -> None:
    words, projected = ["metric=[psnr,kid]"], []

    def interrupt(name: str) -> None:
        projected.append(name)
        if len(projected) == 3:
            raise KeyboardInterrupt

    around(interrupt)
    with pytest.raises(KeyboardInterrupt):
        ask(composed, tmp_path / "killed", *words)
    again, smooth = (ask(composed, tmp_path / name, *words) for name in ("killed", "smooth"))
    assert projected[3] == projected[2] and again["sets"] == smooth["sets"]
    found, folder = load_weights(Path(again["folder"]) / "features.safetensors"), Path(again["folder"])
    for kind in ("targets", "reconstructions"):
        images = [read_image(folder / kind / f"test-{index:06d}.png", 16) for index in range(7)]
        torch.testing.assert_close(found[kind], KID().features(torch.stack(images)), rtol=1e-4, atol=1e-5)


def test_a_run_says_what_its_time_went_to(
    composed: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture, around: Callable[..., None]
) -> None:
    around(lambda name: time.sleep(0.05))
    found = ask(composed, tmp_path)["time"]
    assert set(found) == {"networks", "reading", "measuring", "writing", "rest"}
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("time: ")]
    assert " networks, " in line and line.endswith(" rest")


def test_time_is_shared_out_and_what_the_networks_wait_for_is_named() -> None:
    now = [0.0]
    spent = Spent(lambda: now[0])
    for part, seconds in (("networks", 5.0), ("reading", 0.5), ("networks", 2.0), ("writing", 0.5)):
        with spent.on(part):
            now[0] += seconds
    assert spent.idle() == ""
    with spent.on("reading"):
        now[0] += 1.5
    now[0] += 0.5
    assert spent.seconds() == {"networks": 7.0, "reading": 2.0, "writing": 0.5, "rest": 0.5}
    assert str(spent) == "70% networks, 20% reading, 5% writing, 5% rest" and spent.idle() == "21% reading"


def test_pictures_for_loggers_are_small(tmp_path: Path) -> None:
    sizes = {"large": 512, "small": 16}
    for name, size in sizes.items():
        write_png(tmp_path / "targets" / f"{name}.png", torch.zeros(3, size, size))
    large, small = (pictures(tmp_path, ["targets"], name, (size, 3))[0] for name, size in sizes.items())
    assert large.shape == (3, 256, 256) and small.shape == (3, 16, 16)
