"""``dissect.py`` end to end: tables, pictures, units, resumption after a kill, other networks, and its mistakes."""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import wandb
from offline_runs import history, records, summary_of
from omegaconf import DictConfig
from torch import nn

from zstar.checkpoints.io import load_weights
from zstar.cli import dissect
from zstar.config.check import ConfigError
from zstar.directions.units import load_units
from zstar.dissecting.job import in_order, make_dissect_job
from zstar.dissecting.run import run
from zstar.dissection import survey
from zstar.dissection.base import AbstractAnalysis, Findings, Parts, Subject
from zstar.reports.progress import Progress
from zstar.runs.locks import LeftToAnother, hold
from zstar.runs.results import scan_rows

QUICK = ["generator=stylegan2", "samples=12", "batch_size=5", "logger=none"]
CLASSES = 12


class Echo(AbstractAnalysis):
    """Goes on from agreement: says which class most units are of."""

    needs = ("agreement",)

    def __call__(self, subject: Subject, found: Mapping[str, Findings], parts: Parts) -> Findings:
        units = found["agreement"].tables["units"]
        sets = {"sky": found["agreement"].units["sky"]}
        return Findings({"first": units.head(1)}, {}, sets, {"units": units.height})


class Painter(nn.Module):
    """A latent of four numbers → 16×16 pixels: the left half in one colour, the right half in another."""

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.ConvTranspose2d(4, 6, 8)
        self.colour = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(6, 3, 1), nn.Tanh())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.colour(self.spread(z))


class Redness(nn.Module):
    """Two classes: where red is above blue, and where not."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        difference = images[:, :1] - images[:, 2:]
        return torch.cat([difference, -difference], dim=1)


@pytest.fixture
def config(composed: Callable[..., DictConfig], weights: str, tmp_path: Path) -> Callable[..., DictConfig]:
    return lambda *more: composed("dissect", *QUICK, weights, f"output={tmp_path}/out", *more)


def rows(folder: str | Path, name: str) -> pl.DataFrame:
    return scan_rows(Path(folder) / "agreement" / f"{name}.parquet").collect()


def test_a_run_leaves_tables_pictures_units_and_a_page(
    config: Callable[..., DictConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(config())
    folder, out = Path(result["folder"]), capsys.readouterr().out
    assert "agreement: done" in out and "units correlate with some class at IoU > 0.05" in out
    assert list(result["layers"]) == ["b8.conv0", "b8.conv1"] and result["samples"] == 12
    units = rows(folder, "units")
    assert units.height == sum(shape[0] for shape in result["layers"].values())
    pairs, counts = rows(folder, "agreement"), rows(folder, "counts")
    assert pairs.height == units.height * CLASSES and pairs["iou"].is_between(0, 1).all()
    best = pairs.with_columns(beyond=pl.col("iou") - pl.col("shuffled")).group_by("layer", "unit").agg(pl.max("beyond"))
    own = units.with_columns(beyond=pl.col("iou") - pl.col("shuffled")).join(best, on=["layer", "unit"], suffix="_best")
    assert own.height == units.height and (own["beyond"] - own["beyond_best"]).abs().max() < 1e-12
    for row in counts.filter(pl.col("kind") == "all").to_dicts():
        kept = units if row["layer"] == "all" else units.filter(pl.col("layer") == row["layer"])
        assert row["of"] == kept.height and row["units"] == (kept["iou"] > row["bound"]).sum()
        assert row["shuffled"] == (kept["shuffled"] > row["bound"]).sum()
    assert rows(folder, "layers")["units"].sum() == counts.filter(pl.col("bound") == 0.05)["units"][0]
    tops = rows(folder, "tops")
    assert tops.height == 8 * units.height and tops["sample"].is_between(0, 11).all()
    assert (tops.sort("layer", "unit", "rank")["value"].diff().drop_nulls() <= 0).mean() > 0.8
    assert (folder / "agreement" / "samples.png").is_file() and (folder / "agreement" / "units_b8.conv1.png").is_file()
    assert not (folder / "parts").exists()
    found = load_units(str(folder / "units.safetensors"), make_dissect_job(config()).subject.generator)
    assert set(found) == set(result["units"]) and found["sky"].label.found == {"class": "sky", "method": "agreement"}
    again = run(config())
    assert again["skipped"] and again["folder"] == result["folder"]


def test_what_results_depend_on_is_in_the_folder_name(config: Callable[..., DictConfig], tmp_path: Path) -> None:
    key = make_dissect_job(config()).key
    assert make_dissect_job(config("name=other", "tags=[a]")).key == key
    words = ("samples=13", "seed=1", "batch_size=4", "layers=[b8.conv0]", "analysis.agreement.rule=quantile")
    keys = {make_dissect_job(config(word)).key for word in (*words, "judge=null")}
    assert len(keys) == 6 and key not in keys


def test_a_killed_run_goes_on(config: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(config("output=" + str(config().output) + "_whole"))
    calls, counted = [], survey.count

    def dying(*arguments: Any) -> dict[str, torch.Tensor]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return counted(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(survey, "count", dying)
        run(config())
    (folder,) = Path(config().output).glob("agreement_*")
    assert sorted(path.stem for path in (folder / "parts" / "agreement").glob("*.safetensors")) == [
        "counts_0", "counts_1", "levels"]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(survey, "find_levels", lambda *_: pytest.fail("it was done before"))
        result = run(config())
    assert result["folder"] == str(folder) and not result["skipped"]
    for name in ("units", "agreement", "counts", "tops"):
        assert rows(folder, name).equals(rows(whole["folder"], name)), name


def test_tables_pictures_and_facts_are_in_wandb(
    config: Callable[..., DictConfig], request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(wandb.teardown)  # which keeps the address of its service in the environment of other tests
    result = run(config("logger=wandb", "name=mine", "tags=[a]", "layers=[b8.conv1]"))
    found = records(Path(result["folder"]))
    begun = next(record.run for record in found if record.HasField("run"))
    assert (begun.job_type, begun.display_name, list(begun.tags)) == ("dissect", Path(result["folder"]).name, ["a"])
    logged = history(found)
    assert logged["agreement/units"][0]["nrows"] == rows(result["folder"], "units").height == 8
    assert logged["agreement/units_b8.conv1"][0]["_type"] == "image-file"
    assert summary_of(found)["agreement/rule"] == result["analyses"]["agreement"]["rule"] == "iqr"


def test_a_finished_analysis_is_not_done_again(
    config: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"+analysis.echo={{_target_: {__name__}.Echo}}"
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="full"):
        patch.setattr(Echo, "__call__", lambda *_: (_ for _ in ()).throw(RuntimeError("the disk is full")))
        run(config(words))
    (folder,) = Path(config().output).glob("agreement_echo_*")
    assert "the disk is full" in (folder / "failed.txt").read_text()
    with monkeypatch.context() as patch:
        patch.setattr(survey, "survey", lambda *_: pytest.fail("it was done before"))
        result = run(config(words))
    assert not (folder / "failed.txt").exists() and result["analyses"]["echo"] == {"units": 16}
    generator = make_dissect_job(config()).subject.generator
    found = load_units(str(folder / "units.safetensors"), generator)
    assert {"sky", "sky_agreement", "tree"} <= set(found)
    assert found["sky"].label.found["method"] == "echo"
    assert json.loads((folder / "echo" / "findings.json").read_text())["tables"] == ["first"]


def test_a_run_of_another_process_is_left_to_it(config: Callable[..., DictConfig]) -> None:
    job = make_dissect_job(config())
    with hold(Path(config().output) / f"agreement_{job.key}" / ".lock"), pytest.raises(LeftToAnother):
        run(config())


def test_other_networks_are_dissected_too(composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    words = [
        "generator=module", f"generator.network={{_target_: {__name__}.Painter}}", "generator.latent_shape=[4,1,1]",
        "generator.layers=[spread]", "segmenter=module", f"segmenter.network={{_target_: {__name__}.Redness}}",
        "segmenter.names=[warm,cold]", "judge=null", "samples=20", "logger=none", f"output={tmp_path}",
        "analysis.agreement.rule=quantile", "analysis.agreement.share=0.4", "analysis.agreement.label=iou",
    ]  # fmt: skip
    result = run(composed("dissect", *words))
    assert result["layers"] == {"spread": [6, 8, 8]} and result["classes"] == {"warm": "object", "cold": "object"}
    units = rows(result["folder"], "units")
    assert units["iou"].max() > 0.3 and set(units["class"]) <= {"warm", "cold"}
    levels = load_weights(Path(result["folder"]) / "units.safetensors")
    assert all(torch.isfinite(value).all() for value in levels.values())


def test_the_program_runs_and_sweeps(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*QUICK, weights, "samples=4", "layers=[b4.conv1]", "analysis.agreement.tops=2"]
    monkeypatch.setattr(sys, "argv", ["dissect.py", "-m", *words, "seed=0,1"])
    dissect()
    assert len(list((tmp_path / "outputs" / "dissect").glob("agreement_*/result.json"))) == 2
    monkeypatch.setattr(sys, "argv", ["dissect.py", *words, "seed=1"])
    dissect()
    assert "finished already" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["dissect.py", *words, "layers=[b5]"])
    with pytest.raises(SystemExit) as caught:
        dissect()
    assert caught.value.code == 2 and "layers: this generator has no layer 'b5'" in capsys.readouterr().err


MISTAKES = [
    (["layers=[]"], "layers: the list is empty"),
    (["layers=[b8.conv2]"], "layers: this generator has no layer 'b8.conv2'; did you mean 'b8.conv"),
    (["analysis=[]"], "analysis: nothing is chosen"),
    (["samples=1"], "samples: dissect expects int (2 or more), not 1"),
    (["device=tpu"], "device: 'tpu' is no device"),
    (["analysis.agreement.bounds=[]"], "analysis.agreement.bounds: [] are no IoU"),
    (["analysis=[agreement,causality]", "analysis.causality.classes=[doors]"],
     "analysis.causality.classes: the segmenter has no class 'doors'; did you mean 'door'?"),
    (["analysis=[causality,placing]", "analysis.placing.classes=[dor]"],
     "analysis.placing.classes: the segmenter has no class 'dor'; did you mean 'door'?"),
    (["analysis=[causality]", "analysis.causality.layers=[b5]"], "analysis.causality.layers: 'b5' is not looked at"),
    (["analysis=[artefacts]", "analysis.artefacts.boxes=nowhere.json"],
     "analysis.artefacts.boxes: nowhere.json can't be used ([Errno 2] No such file or directory"),
    (["analysis=[causality,relations]", "analysis.relations.kinds={seasons: [a,b]}"],
     "analysis.relations.kinds: the segmenter reads no factor 'seasons'; did you mean 'season'?"),
    (["analysis=[causality,relations]", "analysis.relations.kinds={season: [a]}"],
     "analysis.relations.kinds.season: its range needs two parts or more"),
    (["analysis=[causality,relations]", "analysis.relations.kinds={season: [a,all]}"],
     "analysis.relations.kinds: 'all' is the name of two kinds of scenes"),
    (["analysis=[causality,relations]", "analysis.relations.kinds={season: [a,b]}", "segmenter=module", "judge=null",
      f"segmenter.network={{_target_: {__name__}.Redness}}", "segmenter.names=[warm,cold]"],
     "analysis.relations.kinds: this segmenter reads no factors, only classes"),
    (["analysis.agreement.tops=0"], "analysis.agreement.tops: Agreement expects int (1 or more), not 0"),
    (["segmenter=module", f"segmenter.network={{_target_: {__name__}.Redness}}", "segmenter.names=[warm,cold]"],
     "judge: it has no class 'warm', which the segmenter has; choose another one, or judge=null"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "sentence"), MISTAKES)
def test_mistakes_are_one_sentence(config: Callable[..., DictConfig], words: list[str], sentence: str) -> None:
    with pytest.raises((ValueError, ConfigError), match=re.escape(sentence)):
        make_dissect_job(config(*words))
    assert not Path(config().output).exists()


def test_a_generator_without_layers_is_refused(composed: Callable[..., DictConfig]) -> None:
    with pytest.raises(ValueError, match="generator.layers: this generator names no layers"):
        make_dissect_job(composed("dissect", "generator=pixels"))


def test_an_analysis_comes_behind_those_that_it_needs() -> None:
    first, echo = {"_target_": "zstar.dissection.agreeing.Agreement"}, {"_target_": f"{__name__}.Echo"}
    assert list(in_order({"echo": echo, "agreement": first})) == ["agreement", "echo"]
    sentence = "analysis: echo goes on from agreement, which is not chosen; choose analysis=[agreement,echo]"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        in_order({"echo": echo})


SMALL = [
    "samples=24", "batch_size=8", "layers=[b8.conv0]", "analysis.causality.images=6", "analysis.causality.steps=2",
    "analysis.causality.classes=[grass]", "analysis.causality.sizes=[2]", "analysis.causality.units=2",
    "analysis.relations.images=8", "analysis.placing.images=2", "analysis.placing.step=8",
    "analysis.artefacts.images=8", "analysis.artefacts.real.count=8", "analysis.artefacts.sizes=[2]",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["causality", "relations", "placing", "artefacts"])
def test_a_run_that_was_killed_within_an_analysis_ends_as_if_it_had_not_been(
    name: str, composed: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = {"artefacts": "artefacts", "causality": "causality"}.get(name, f"causality,{name}")
    chosen = {part.split(".")[1] for part in SMALL if part.startswith("analysis.")} - set(chain.split(","))
    words = [word for word in SMALL if not any(word.startswith(f"analysis.{part}.") for part in chosen)]
    cfg = [f"analysis=[{chain}]", *words, "logger=none"]
    whole = run(composed("dissect", *cfg, f"output={tmp_path}/whole"))
    assert not list(Path(whole["folder"]).rglob("parts"))
    update, seen = Progress.update, []

    def dying(self: Progress, done: float, state: str | None = None, mark: bool = False) -> None:
        seen.append(state)
        if seen.count(name) == 2:
            raise KeyboardInterrupt
        update(self, done, state, mark)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Progress, "update", dying)
        run(composed("dissect", *cfg, f"output={tmp_path}/killed"))
    (folder,) = (tmp_path / "killed").glob("*")
    assert not (folder / "result.json").exists() and not (folder / name / "findings.json").exists()
    again = run(composed("dissect", *cfg, f"output={tmp_path}/killed"))
    tables = sorted(path.relative_to(whole["folder"]) for path in (Path(whole["folder"]) / name).glob("*.parquet"))
    assert again["folder"] == str(folder) and tables
    for table in tables:
        one, other = (scan_rows(Path(top) / table).collect() for top in (whole["folder"], folder))
        assert one.equals(other), table
