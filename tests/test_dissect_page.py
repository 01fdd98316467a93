"""The page of a dissection: self-contained, escaped, small; sorted, filtered and opened in a real browser."""

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from zstar.dissecting.page_parts import encode
from zstar.dissecting.report import write_dissection_report
from zstar.dissection.agreeing import COLUMNS, Agreement
from zstar.dissection.base import Findings, Parts, Subject
from zstar.generators.stylegan2 import StyleGAN2
from zstar.reports.numbers import plain
from zstar.segmenters.module import Module

HOSTILE = "</script><img src=x onerror=alert(1)>"
PATIENCE = 20_000  # milliseconds


class Thirds(torch.nn.Module):
    """Three classes by how red a pixel is."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        red = images[:, :1]
        return torch.cat([red - 0.1, -((red - 0.1) ** 2) + 0.01, -red], dim=1)


@pytest.fixture(scope="module")
def subject() -> Subject:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        generator = StyleGAN2(resolution=16, z_dim=16, w_dim=16, num_mapping_layers=2, channel_max=8)
    segmenter = Module(Thirds(), ["bright", HOSTILE, "dark"], parts=["dark"])
    return Subject(generator, segmenter, segmenter, ["b8.conv0", "b8.conv1"], 24, batch=8)


@pytest.fixture(scope="module")
def written(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Findings]]:
    folder = tmp_path_factory.mktemp("page")
    with torch.no_grad():
        found = {"agreement": Agreement()(subject, {}, Parts(folder))}
    effects = pl.DataFrame(
        {"layer": ["b8.conv1"] * 2, "unit": [3, 3], "class": ["dark", "bright"], "effect": [-2.5, 40.0],
         "low": [-3.0, 30.0], "high": [-2.0, 50.0]}
    )  # fmt: skip
    pictures = {"curves_b8.conv1": torch.zeros(3, 40, 60), f"{HOSTILE}": torch.ones(1, 8, 8)}
    summary = {"sentences": [f"Of {HOSTILE} little is left"], "kid": 0.123456}
    found["causality"] = Findings({"effects": effects}, pictures, {}, summary)
    result = {
        "config_hash": "c0ffee", "device": "cpu", "precision": "exact", "command": "python dissect.py", "samples": 24,
        "generator": "abc", "layers": {"b8.conv0": [8, 8, 8], "b8.conv1": [8, 8, 8]}, "seed": 0,
        "classes": dict(subject.segmenter.kinds), "analyses": {name: plain(one.summary) for name, one in found.items()},
        "units": ["dark"], "machine": {"gpu": None, "cpu": "a processor"},
    }  # fmt: skip
    (folder / "config.yaml").write_text("seed: 0\n")
    return write_dissection_report(folder, result, found, subject), found


def test_the_page_is_whole_and_asks_for_nothing(written: tuple[Path, dict[str, Findings]]) -> None:
    page = written[0].read_text(encoding="utf-8")
    assert page.count("</script>") == 2 and "<img src=x" not in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']*""", page) and "default-src 'none'" in page
    assert len(page) < 1_000_000
    units = written[1]["agreement"].tables["units"]
    assert page.count("<tr data-unit=") == units.height == 16
    for row in written[1]["agreement"].tables["counts"].filter(pl.col("bound") == 0.05).head(3).to_dicts():
        assert f"<strong>{row['units']}</strong> of {row['of']} units" in page
    assert "little is left" in page and "0.1235" in page and "b8.conv1: what is left of a class" in page


def test_pictures_become_coarser_until_they_fit(written: tuple[Path, dict[str, Findings]]) -> None:
    found = written[1] | {"more": Findings(pictures={"noise": torch.rand(3, 900, 900) * 2 - 1})}
    fine, sheet = encode(found, found["agreement"], 10**9)
    coarse, small = encode(found, found["agreement"], 1)
    assert len(coarse["more/noise"]["src"]) < len(fine["more/noise"]["src"]) and coarse["more/noise"]["width"] == 700
    assert small["tile"] == 16 <= sheet["tile"] and sheet["tile"] * COLUMNS == 16 * COLUMNS


def test_without_agreement_there_is_a_page_too(written: tuple[Path, dict[str, Findings]], subject: Subject) -> None:
    folder = written[0].parent / "other"
    folder.mkdir()
    (folder / "config.yaml").write_text("seed: 1\n")
    result = {
        "config_hash": "c0ffee", "precision": "exact", "command": "python dissect.py", "samples": 2, "generator": "abc",
        "layers": {"b8.conv0": [8, 8, 8]}, "seed": 0, "classes": {}, "analyses": {"causality": {}}, "units": [],
        "machine": {"gpu": None, "cpu": "a processor"},
    }  # fmt: skip
    page = write_dissection_report(folder, result, {"causality": written[1]["causality"]}, subject).read_text()
    assert 'id="causality"' in page and 'id="units"' not in page


def test_units_are_sorted_filtered_and_opened(browser: Any, written: tuple[Path, dict[str, Findings]]) -> None:
    page, faults = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request", lambda request: faults.append(request.url) if not request.url.startswith(("file:", "data:")) else 0
    )
    page.goto(written[0].as_uri())
    shown = "() => [...document.querySelectorAll('#units tbody tr:not([hidden])')]"
    values = page.evaluate(f"{shown[6:]}.map((row) => Number(row.children[2].dataset.value))")
    page.click("#units thead th:nth-child(3) button")
    assert page.evaluate(f"{shown[6:]}.map((row) => Number(row.children[2].dataset.value))") == sorted(values)[::-1]
    page.select_option("#layer", "b8.conv1")
    page.fill("#find", "3")
    assert page.evaluate(f"{shown[6:]}.map((row) => row.dataset.unit)") == ["b8.conv1 3"]
    assert page.inner_text("#count") == "1 of 16 units"
    page.click("#units tbody tr:not([hidden]) td")
    assert page.locator("#panel .top canvas").count() == 8
    text = page.inner_text("#panel")
    assert "b8.conv1 3" in text and "Effect, causality: effects" in text and "−2.50" in text and "40.0" in text
    page.wait_for_function(
        "() => { const c = document.querySelector('#panel canvas');"
        " return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v, i) => i % 4 < 3 && v > 0); }"
    )
    page.keyboard.press("Escape")
    page.fill("#find", "")
    page.select_option("#layer", "")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto(written[0].as_uri() + "#unit=b8.conv0%205")
    page.wait_for_function("() => document.querySelector('#panel').open")  # the page hears of its address in time
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => !location.hash.endsWith('b8.conv0%205')")
    assert page.locator("#panel[open]").count() == 1 and not faults
    page.close()
