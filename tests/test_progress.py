"""Progress: a line in a terminal that fits, lines in a log file as the work goes on."""

import codecs
import io
import sys
from itertools import count

import pytest

from zstar.config.paths import let_streams_replace
from zstar.projection.progress import Display
from zstar.reports.progress import Progress


class Clock:
    """Seconds that pass when a test lets them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_at_each_mark_with_rate_and_time_left(capsys: pytest.CaptureFixture) -> None:
    clock = Clock()
    with Progress(40, "images", "projecting", clock=clock) as progress:
        for batch in range(4):
            clock.now += 2.0
            progress.update(10 * (batch + 1), f"batch {batch + 1} of 4", mark=True)
            assert len(capsys.readouterr().out.splitlines()) == 1
        clock.now = 16.0
        progress.update(40, mark=True)
    assert capsys.readouterr().out == "projecting  100%  40 of 40 images  batch 4 of 4  2.5 images/s  0.0 s left\n"


def test_between_marks_there_is_a_line_a_minute_and_sooner_at_first(capsys: pytest.CaptureFixture) -> None:
    clock = Clock()
    with Progress(10_000, "steps", "training", done=100, clock=clock) as progress:
        for second in range(1, 600):
            clock.now = second
            progress.update(100 + second)
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[2]) - 100 for line in lines[:4]] == [5, 15, 35, 75] and 10 <= len(lines) <= 14
    assert "1 steps/s" in lines[-1] and "2 h" in lines[0]


def test_what_was_done_before_says_nothing_of_the_rate() -> None:
    clock = Clock()
    with Progress(100, "images", "projecting", clock=clock) as progress:
        progress.skip(90)
        clock.now = 5.0
        progress.update(95)
        assert "1 images/s" in progress.line() and "5.0 s left" in progress.line()


@pytest.mark.parametrize("columns", [140, 100, 80, 60, 40, 26])
def test_no_terminal_is_too_narrow(columns: int) -> None:
    progress = Progress(100_000, "images", "projecting", clock=map(float, count()).__next__)
    progress.__enter__()
    progress.update(5_000, "batch 313 of 6250  step 200/400  loss 0.1234")
    line = progress.line(columns)
    assert len(line) <= columns and line.endswith("left") and "5%" in line
    assert ("loss" in line) == (columns == 140) and ("batch" in line) == (columns >= 100)


def test_batches_of_an_earlier_process_are_not_announced(capsys: pytest.CaptureFixture) -> None:
    with Display(3, 5, 2) as display:
        display.batch_done(0, now=False)
        display.callback.report(1, 2, 0.5)
        display.batch_done(1)
        display.batch_done(2)
    first, second = capsys.readouterr().out.splitlines()
    assert "4 of 5 images  batch 2 of 3" in first and "5 of 5 images  batch 3 of 3" in second


def test_a_log_file_is_written_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, encoding="utf-8"))
    let_streams_replace()
    print("a line")
    assert file.getvalue() == b"a line\n" and codecs.lookup_error("zstar")
