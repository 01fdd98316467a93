"""The report: one file that needs nothing else, shows what the rule says, and survives hostile names."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from zstar.images import to_uint8, write_png
from zstar.reports import charts
from zstar.reports.gallery import sections
from zstar.reports.numbers import duration, plain
from zstar.reports.pages import data_uri
from zstar.reports.projection import write_montage, write_report
from zstar.runs.folder import commit, machine, record_result, safe_name, versions
from zstar.runs.results import RESULTS_SCHEMA

HOSTILE = "<script>alert('1')</script>\" onload=\"x.png"
Folder = Callable[..., Path]


def result(count: int, **more: object) -> dict:
    return {
        "config_hash": "0123456789ab",
        "protocol_hash": "ba9876543210",
        "command": "python invert.py 'loss=[pixel]' data.folder='<b>'",
        "method": "mean+optimization",
        "space": "w_plus",
        "seed": 0,
        "steps": 40,
        "images": count,
        "failed": {},
        "seconds": 75.2,
        "summary": {},
        "skipped_metrics": {"lpips": "no backbone & no network"},
        **commit(),
        "versions": versions(),
        "machine": machine(torch.device("cpu")),
        **more,
    }


@pytest.fixture
def run(tmp_path: Path) -> Folder:
    """Makes a run folder of ``count`` images whose PSNR is 20, 21, 22, … dB in a shuffled order, from 5.5 dB less."""

    def make(count: int, size: int = 16, started: bool = False, **more: object) -> Path:
        rows, generator = [], torch.Generator().manual_seed(0)
        order = torch.randperm(count, generator=generator).tolist()
        same = {"protocol_hash": "ba9876543210", "method": "mean+optimization", "space": "w_plus", "seed": 0}
        for index, rank in enumerate(order):
            name = HOSTILE if index == 0 else f"image-{index:03d}"
            target = torch.rand(3, size, size, generator=generator) * 1.6 - 0.8
            write_png(tmp_path / "targets" / f"{safe_name(name)}.png", target)
            write_png(tmp_path / "reconstructions" / f"{safe_name(name)}.png", target + 0.1)
            if started:
                write_png(tmp_path / "starts" / f"{safe_name(name)}.png", target - 0.2)
                start = {"metric": "start/psnr", "value": 14.5 + rank}
                rows.append({**same, "image": name, "step": 0, "seconds": 0.1, **start})
            last = {**same, "image": name, "step": 40, "seconds": 1.0}
            rows += [{**last, "metric": "psnr", "value": 20.0 + rank}, {**last, "metric": "evaluations", "value": 41.0}]
            for step in range(0, 41, 10):
                row = {**same, "image": name, "step": step, "seconds": step / 40}
                rows += [{**row, "metric": "loss/total", "value": 2.0 ** (-step / 10) * (1 + rank)}]
                rows += [{**row, "metric": "loss/<pixel>", "value": -0.5 + step}]
        pl.DataFrame(rows, schema=RESULTS_SCHEMA).write_parquet(tmp_path / "results.parquet")
        (tmp_path / "config.yaml").write_text("seed: 0\nname: </pre><script>bad()</script>\n")
        record_result(tmp_path, result(count, **more))
        return tmp_path

    return make


def test_the_page_needs_nothing_else(run: Folder) -> None:
    page = write_report(run(3)).read_text()
    for attribute, address in re.findall(r"""\b(src|href|srcset|action|data|url)\s*[=(]\s*["']?([^"'\s>)]+)""", page):
        assert address.startswith("data:image/png;base64,"), f"{attribute} points to {address}"
    assert not re.search(r"@import|url\(|<link|<iframe|<object|<embed", page)
    assert "default-src 'none'" in page, "and the browser is told to fetch nothing"


def test_the_page_says_what_was_done_and_how_well(run: Folder) -> None:
    page = write_report(run(24, failed={"broken.jpg": "truncated", "gone.png": "empty"}, precision="bf16")).read_text()
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("</style>")[1]))
    for wanted in (
        "26 images projected into w_plus",
        "By mean, then optimization (40 steps)",
        "mean psnr of 31.5 dB",
        "2 failed",
        "1 min 15 s of projection",
        "ba9876543210",
        "0123456789ab",
        machine(torch.device("cpu"))["cpu"],
        f"torch {versions()['torch']}",
        "precision bf16",
        "lpips (no backbone &amp; no network)",
        "broken.jpg truncated",
        "evaluations: 41 for every image",
    ):
        assert wanted in words, wanted
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page)
    assert cells[0].startswith("psnr") and cells[5] == "24" and cells[7] == "2"  # N, failed
    assert (commit().get("commit") or "") in page


def test_images_left_out_of_a_metric_are_counted_where_there_are_any(run: Folder) -> None:
    folder = run(4)
    assert ">excluded<" not in write_report(folder).read_text()
    rows = pl.read_parquet(folder / "results.parquet")
    lost = (pl.col("metric") == "psnr") & (pl.col("image") == "image-001")
    rows.filter(~lost).write_parquet(folder / "results.parquet")
    page = write_report(folder).read_text()
    assert ">excluded<" in page and re.findall(r"<td[^>]*>(.*?)</td>", page)[8] == "1"


def test_hostile_names_and_configs_are_text(run: Folder) -> None:
    folder = run(20, failed={HOSTILE + "2": "<img src=x onerror=alert(1)>"}, notices=["no <i>encoder"])
    page = write_report(folder).read_text()
    assert "<script" not in page and "<img src=x" not in page and 'onload="x' not in page
    assert "no &lt;i&gt;encoder" in page
    assert "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;" in page
    assert "<script" not in (folder / "trajectories.svg").read_text()


def test_best_worst_and_first_are_chosen_by_rule(run: Folder) -> None:
    folder = run(24)
    final = pl.read_parquet(folder / "results.parquet").filter(pl.col("metric") == "psnr")
    values = dict(zip(final["image"], final["value"], strict=True))
    best, worst, first = sections(folder, values, "psnr")
    assert [strip.value for strip in best.strips] == [43.0 - i for i in range(8)]
    assert [strip.value for strip in worst.strips] == [20.0 + i for i in range(8)]
    assert [strip.id for strip in first.strips] == list(values)[:16]
    assert sections(folder, values, "mse", higher_is_better=False)[0].strips[0].value == 20.0
    page = write_report(folder).read_text()
    assert page.count('alt="target"') == page.count('alt="difference"') == 32


def test_a_small_run_shows_every_image_once_and_passes_over_those_without_pictures(run: Folder) -> None:
    folder = run(5)
    (folder / "reconstructions" / "image-003.png").unlink()
    page = write_report(folder).read_text()
    assert page.count('alt="target"') == 4 and "All images" in page


def test_the_start_of_the_last_projector_stands_beside_what_became_of_it(run: Folder) -> None:
    named = run(24, started=True, method="a_name", projectors=["enc<b>der", "optimization"])
    assert 'alt="enc&lt;b&gt;der"' in (text := write_report(named).read_text()) and 'alt="optimization"' in text
    page = write_report(run(24, started=True, method="enc<b>der+optimization")).read_text()
    assert re.findall(r'alt="([^"]+)"', page)[:4] == ["target", "enc&lt;b&gt;der", "optimization", "difference"]
    assert page.count('alt="enc&lt;b&gt;der"') == page.count('alt="target"') == 32
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("</style>")[1]))
    assert "over 24 images, from 26.0 dB after enc&lt;b&gt;der." in words
    assert "37.5 → 43.0 dB" in words and "14.5 → 20.0 dB" in words
    assert "what enc&lt;b&gt;der found, what optimization made of it" in words
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page)
    assert cells[:2] == ["psnr ", "26.0"] and cells[3].startswith("31.5")
    row = page[page.index('<td class="name">evaluations') :]
    assert re.findall(r"<td[^>]*>(.*?)</td>", row)[1] == "–", "it has no start"


def test_a_run_without_starts_has_no_place_for_them(run: Folder) -> None:
    body = write_report(run(3)).read_text().split("</style>")[1]
    assert re.findall(r'alt="([^"]+)"', body) == ["target", "reconstruction", "difference"] * 3
    assert "→" not in body and "found" not in body and 'class="titles"' not in body and "Each triple" in body


def test_the_difference_is_four_times_what_it_is(run: Folder) -> None:
    import base64
    import io

    page = write_report(run(1)).read_text()
    shown = re.search(r'alt="difference" src="data:image/png;base64,([^"]+)"', page)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown[1]))))
    assert abs(pixels.astype(int) - 4 * 0.1 * 127.5).max() <= 4


def test_large_pictures_do_not_make_a_large_page(run: Folder) -> None:
    assert write_report(run(2, size=1024)).stat().st_size < 1.5e6


def test_a_report_can_be_made_again_and_before_the_result_is_recorded(run: Folder) -> None:
    folder = run(4)
    first = write_report(folder).read_bytes()
    recorded = json.loads((folder / "result.json").read_text())
    (folder / "result.json").unlink()
    (folder / "report.html").unlink()
    assert write_report(folder, recorded).read_bytes() == first


def test_a_run_in_which_everything_failed_has_a_report(run: Folder) -> None:
    folder = run(2)
    pl.DataFrame(schema=RESULTS_SCHEMA).write_parquet(folder / "results.parquet")
    page = write_report(folder, result(0, failed={"a": "truncated"})).read_text()
    assert "no image has a result" in page and "truncated" in page


def test_charts_draw_in_the_frame_and_on_a_logarithmic_axis_where_they_can() -> None:
    steps = np.arange(0.0, 401.0, 10.0)
    median = np.exp(-steps / 40)
    svg = charts.curve(steps, median, median * 0.5, median * 2, "loss")
    heights = [
        float(y) for x, y in (p.split(",") for p in re.search(r'<polyline[^>]* points="([^"]+)"', svg)[1].split())
    ]
    assert np.allclose(np.diff(heights), np.diff(heights)[0], atol=0.15), "an exponential decay is a straight line"
    values = np.random.default_rng(0).normal(size=100)
    for drawing in (svg, charts.histogram(values, float(values.mean()), (-0.2, 0.2), 'a "label" <b>')):
        assert "nan" not in drawing and "inf" not in drawing and "<b>" not in drawing
        for y in re.findall(r'\by="(-?[\d.]+)"', drawing):
            assert 0 <= float(y) <= charts.HEIGHT
    signed = charts.curve(steps, median - 0.5, median - 0.6, median - 0.4, "signed")
    flat = charts.curve(steps, median * 0, median * 0, median * 0, "flat")
    assert "nan" not in signed + flat


def test_a_montage_has_each_reconstruction_below_its_target(tmp_path: Path) -> None:
    targets = torch.linspace(-1, 0.9, 5).view(5, 1, 1, 1).expand(5, 3, 8, 8).contiguous()
    write_montage(tmp_path / "montage.png", targets, targets + 0.1, columns=3)
    pixels = np.asarray(Image.open(tmp_path / "montage.png"))
    cell = 8 * 3 + 6
    assert pixels.shape == (4 * cell - 6, 3 * cell - 6, 3)
    for index in range(5):
        row, column = 2 * (index // 3), index % 3
        above, below = pixels[row * cell + 4, column * cell + 4], pixels[(row + 1) * cell + 4, column * cell + 4]
        wanted = to_uint8(torch.stack([targets[index], targets[index] + 0.1]))[:, 0, 0].numpy()
        assert np.array_equal(np.stack([above, below]), wanted)
    write_montage(tmp_path / "montage.png", targets, targets - 0.05, targets + 0.1, columns=3)
    threes = np.asarray(Image.open(tmp_path / "montage.png"))
    assert np.array_equal(threes[:24], pixels[:24]) and np.array_equal(threes[2 * cell :][:24], pixels[cell:][:24])
    assert len(threes) == 6 * cell - 6


@pytest.mark.parametrize("seconds, words", [(3.21, "3.2 s"), (75.4, "1 min 15 s"), (7505.0, "2 h 5 min"), (None, "–")])
def test_durations_are_words(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_a_data_uri_holds_the_file() -> None:
    assert data_uri(b"\x00zstar", "image/webp") == "data:image/webp;base64,AHpzdGFy"


def test_plain_containers_have_no_number_that_json_lacks() -> None:
    board = {1: (np.float32(0.5), math.inf, math.nan), "deep": [{"n": np.int64(3), "flag": True, "name": "w"}]}
    assert plain(board) == {"1": [0.5, None, None], "deep": [{"n": 3, "flag": True, "name": "w"}]}
    assert plain([math.inf, 2.0], lambda value: f"{value:g}") == ["inf", "2"]


def test_the_page_is_no_wider_than_a_phone(run: Folder, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(write_report(run(24, started=True, failed={"broken" * 30: "truncated"})).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
