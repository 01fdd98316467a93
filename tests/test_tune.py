"""A search finds the best, goes on where it stopped, ends what is hopeless, and says what is wrong with its input."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from omegaconf import OmegaConf

from zstar.config.check import check
from zstar.config.schema import Invert
from zstar.runs.lifecycle import Stopped
from zstar.tune import study
from zstar.tune.search_space import Choice, Range, read_space, trials_ahead

optuna = pytest.importorskip("optuna", reason="searches need Optuna: pip install 'zstar[tune]'")
tune = pytest.importorskip("zstar.tune.__main__").tune

ROOT = Path(__file__).parents[1]


def fake_run(asked: list[float], planted: Mapping[int, Exception] | None = None) -> Callable[..., dict[str, Any]]:
    """Stands for ``zstar.projection.run.run``: psnr is best at a rate of 0.1, and so after the first images."""

    def run(cfg: Any, wait: bool, watch: Callable[[pl.DataFrame], None]) -> dict[str, Any]:
        assert wait and cfg.output.startswith("outputs/tune/") and cfg.data.split == "validation"
        asked.append(cfg.optimizer.lr)
        if error := (planted or {}).get(len(asked)):
            raise error
        psnr = 30 - 100 * abs(cfg.optimizer.lr - 0.1)
        for _ in range(3):
            watch(pl.DataFrame({"metric": ["psnr", "mse"], "value": [psnr, 1.0]}))
        return {"folder": "somewhere", "failed": {}, "images": 3, "summary": {"psnr": {"mean": psnr}}}

    return run


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A search space in a file of the current folder, which is empty otherwise."""
    monkeypatch.chdir(tmp_path)
    Path("lr.yaml").write_text("optimizer.lr: {low: 0.003, high: 0.3, log: true}\nspace: [w, w_plus]\n")
    return "lr.yaml"


@pytest.mark.slow
def test_it_finds_the_best_and_goes_on(
    space: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, composed: Callable[..., Any]
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(study, "run", fake_run(asked))
    monkeypatch.setattr("zstar.tune.__main__.FEWEST", 100)  # the forest that says what matters takes its time
    words = [space, "data.count=3", "--metric", "psnr"]
    tune([*words, "--trials", "6"])
    assert len(asked) == len(set(asked)) == 6
    capsys.readouterr()
    tune([*words, "--trials", "11"])
    said = capsys.readouterr().out
    assert len(asked) == 11 and " complete" in said and " pruned" in said
    best = min(asked, key=lambda lr: abs(lr - 0.1))
    file = Path("outputs/tune/lr/experiment/best.yaml")
    content = yaml.safe_load(file.read_text())
    assert content["optimizer"]["lr"] == best and content["defaults"][0]["override /space"] in ("w", "w_plus")
    assert "--config-dir outputs/tune/lr experiment=best data.count=3" in said
    cfg = composed("invert", "hydra.searchpath=[file://outputs/tune/lr]", "experiment=best")
    check(cfg, Invert)
    assert cfg.optimizer.lr == best and cfg.data.split == "test"


def test_a_trial_that_was_killed_is_made_again_and_a_failing_one_is_not(
    space: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    asked: list[float] = []
    planted = {2: KeyboardInterrupt(), 4: ValueError("optimizer.lr: too much; take less")}
    monkeypatch.setattr(study, "run", fake_run(asked, planted))
    with pytest.raises(SystemExit) as end:
        tune([space, "--trials", "4"])
    assert end.value.code == 130
    tune([space, "--trials", "4"])
    said = capsys.readouterr()
    assert asked[1] == asked[2] and len(set(asked)) == 4 and len(asked) == 5
    assert "trials: 3 complete, 1 fail\n" in said.out
    assert "failed: optimizer.lr: too much; take less" in said.err


def test_a_running_trial_of_a_live_process_is_its_own(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "run", fake_run([]))
    one, two = (study.Study(Path("outputs/tune/lr"), read_space(space), [], "psnr") for _ in range(2))
    from zstar.runs.locks import hold

    with hold(one.folder / ".workers" / one.worker):
        assert one.next(2).number == 0
        assert two.next(2).number == 1
        assert two.next(2) is None or two.counts()["running"] == 2
    assert one.counts() == {"running": 2}


def test_images_that_diverge_are_no_success(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = {
        "folder": "x",
        "failed": {"a": "diverged: …", "b": "no image"},
        "images": 2,
        "summary": {"psnr": {"mean": 99}},
    }
    monkeypatch.setattr(study, "run", lambda *_, **__: result)
    one = study.Study(Path("outputs/tune/lr"), read_space(space), [], "psnr")
    one.run(1)
    assert one.counts() == {"fail": 1}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("optimizer.lr: {low: 0.3, high: 0.003}", "search: optimizer.lr: low=0.3 is not below high=0.003"),
        ("optimizer.lr: {low: 0, high: 1, log: true}", "search: optimizer.lr: log: True needs a low above 0"),
        (
            "optimizer.lr: {low: 1e-3, high: 1}",
            "search: optimizer.lr: low is '1e-3' and has to be a number; YAML reads",
        ),
        ("optimizer.lr: {lo: 1, high: 2}", "search: optimizer.lr: a range has no 'lo'; did you mean 'low'?"),
        ("optimizer.lr: {low: 1, high: 2, step: 3}", "search: optimizer.lr: step=3 does not fit"),
        ("optimizer.lr: 0.1", "search: optimizer.lr: 0.1 is no range and no list"),
        ("space: [w, w]", "search: space: there is nothing to choose"),
        ("- a", "search: space.yaml names no key"),
        ("a: [", "search: space.yaml is no YAML"),
        ("optimizer.lrr: {low: 0.1, high: 1.0}", "optimizer.lrr: 'optimizer' has no key 'lrr'; did you mean 'lr'?"),
        ("steps: {low: 0.5, high: 1.5}", "steps: invert expects int (0 or more), not 0.5"),
        (
            "steps: {low: 10, high: 20}\noutput: [a, b]",
            "search: space.yaml searches output, which all trials have in",
        ),
        ("seed: {low: 0, high: 9}", "search: space.yaml searches seed, which all trials have in common"),
        ("data.count: {low: 1, high: 9}", "search: space.yaml searches data.count, which"),
        ("space: [w, ww]", "space: there is no option 'ww'; did you mean 'w'?"),
        ("optimizer.lr: {low: 0.1, high: 1.0}\nnoise: [const, nose]", "noise: invert expects 'const' | 'none' | "),
        (
            "projector: [[optimization], [mean]]\nprojector.optimization.explore: {low: 0.0, high: 0.1}",
            "projector.optimi",
        ),
        ("space: [ww, w]", "space: there is no option 'ww'; did you mean 'w'?"),
    ],
)
def test_wrong_search_spaces(
    content: str, sentence: str, space: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("space.yaml").write_text(content)
    with pytest.raises(SystemExit) as end:
        tune(["space.yaml"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {sentence}"), said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["optimiser"], "search: there is no 'optimiser'; did you mean 'optimizer'?"),
        (["lr.yaml", "--metric", "psrn"], "metric: 'psrn' is not measured; did you mean 'psnr'?"),
        (["lr.yaml", "output=x"], "output=x: the search sets this itself"),
        (["lr.yaml", "--config-dir", "none"], "--config-dir: there is no folder none"),
        (["lr.yaml", "--name", "a/b"], "--name: 'a/b' is not the name of one folder"),
        (["lr.yaml", "sweep=[seeds]"], "sweep=[seeds]: a search makes one trial after another and no grid"),
        (["lr.yaml", "spce=w"], "spce: the config has no key 'spce'; did you mean 'space'?"),
    ],
)
def test_wrong_commands(words: list[str], sentence: str, space: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        tune(words)
    assert capsys.readouterr().err.startswith(f"error: {sentence}")


def test_options_and_searches_of_ones_own(
    space: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for path, text in (("own", "lr: 0.1"), ("other", "lr: 0.3")):
        file = Path("my conf", "optimizer", f"{path}.yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"_target_: zstar.optimizers.adam.Adam\n{text}\n")
    Path("my conf", "search").mkdir()
    Path("my conf", "search", "mine.yaml").write_text("optimizer: [own, other]\n")
    asked: list[float] = []
    monkeypatch.setattr(study, "run", fake_run(asked))
    tune(["mine", "--config-dir", "my conf", "--trials", "3", "--name", "a?b#c%20 {d}"])
    assert {0.1, 0.3} >= set(asked) and Path("outputs/tune/a?b#c%20 {d}.db").is_file()
    assert f'hydra.searchpath=["file://{Path.cwd()}/my conf"]' in capsys.readouterr().out


def test_a_study_keeps_to_what_it_searches(
    space: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(study, "run", fake_run([]))
    tune([space, "--trials", "1"])
    with pytest.raises(SystemExit):
        tune([space, "--trials", "1", "data.count=5"])
    assert "choose another --name" in capsys.readouterr().err


def test_ranges_and_choices_become_overrides(composed: Callable[..., Any]) -> None:
    trial = optuna.trial.FixedTrial({"a": 3, "b": 0.5, "c": "[mean,optimization]"})
    assert Range(1, 5).suggest(trial, "a") == "3" and Range(0.1, 1.0).suggest(trial, "b") == "0.5"
    assert Choice(("[mean,optimization]", "null")).suggest(trial, "c") == "[mean,optimization]"


@pytest.mark.parametrize("path", sorted((ROOT / "conf" / "search").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_search_spaces_fit_the_configuration(path: Path, composed: Callable[..., Any]) -> None:
    for values in trials_ahead(read_space(path.stem)):
        words = [f"{key}={value}" for key, value in values.items()]
        check(OmegaConf.create(composed("invert", *words)), Invert)


def test_a_run_that_is_stopped_has_not_failed_and_goes_on(composed: Callable[..., Any], tmp_path: Path) -> None:
    from zstar.projection.run import run

    words = ["generator=pixels", "space=pixels", "data.resolution=16", "data.count=4", "batch_size=2", "steps=1"]
    words += ["loss=[pixel]", "metric=[psnr]", "logger=none", "projector=[optimization]", f"output={tmp_path}"]
    cfg = composed("invert", *words, "generator.resolution=16")
    seen: list[float] = []

    def stop(rows: pl.DataFrame) -> None:
        seen.extend(rows.filter(pl.col("metric") == "psnr")["value"].to_list())
        raise Stopped

    with pytest.raises(Stopped):
        run(cfg, watch=stop)
    assert len(seen) == 2 and not list(tmp_path.glob("*/failed.txt"))
    frames: list[pl.DataFrame] = []
    result = run(cfg, watch=frames.append)
    values = pl.concat(frames).filter(pl.col("metric") == "psnr")["value"]
    assert values.to_list()[:2] == seen and values.mean() == pytest.approx(result["summary"]["psnr"]["mean"])
