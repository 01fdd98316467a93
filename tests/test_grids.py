"""``sweep=[…]``: named grids of settings, for each program that has what they go through; and sweeps of trainings."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf
from parameters import slowly

from zstar.cli import invert, train
from zstar.config.check import check
from zstar.config.schema import Edit, Invert, Train
from zstar.runs.locks import hold

CONF = Path(__file__).parents[1] / "conf"
GRIDS = sorted(path.stem for path in (CONF / "sweep").glob("*.yaml"))
PROGRAMS = {"invert": Invert, "train": Train, "edit": Edit}
TRAINING = [
    "task=encoder", "logger=none", "trainer.accelerator=cpu", "generator=stylegan2",
    "generator.checkpoint=g.safetensors", "data.resolution=16",
    "data.count=16", "loss=[pixel]", "metric=[mse]", "space=w", "space.prior_samples=10",
    "encoder=resnet", "encoder.width=8", "encoder.width_max=8", "encoder.blocks=1", "encoder.hidden=8",
    "validation.count=1", "task.steps=2", "task.batch=2", "callbacks.samples_every=0", "callbacks.scores_every=0",
    "callbacks.snapshot_every=0",
]  # fmt: skip
PROJECTION = [
    "generator=stylegan2", "generator.checkpoint=g.safetensors", "space.prior_samples=10", "data.resolution=16",
    "data.count=1", "metric=[mse]", "loss=[pixel]", "projector=[random]", "logger=none", "device=cpu",
]  # fmt: skip


def program(job: Callable[[], None], words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a program in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", [f"{job.__name__}.py", *words])
    try:
        job()
    except SystemExit as end:
        return int(str(end.code))
    return 0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_generator: Callable[..., None]) -> Path:
    """An empty folder with a generator, in which the programs run."""
    store_generator(tmp_path / "g.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def grid_of(primary: str, grid: str) -> dict[str, list[str]] | None:
    """Key → values of a grid, or ``None`` where the program lacks what it goes through."""
    try:
        cfg = compose(primary, [f"sweep=[{grid}]"], return_hydra_config=True)
    except ConfigCompositionException:
        return None
    assert cfg.hydra.mode is RunMode.MULTIRUN
    params = cfg.hydra.sweeper.params
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    found = parser.parse_overrides([f"{key}={value}" for key, value in params.items()])
    keys = {one.get_key_element(): list(one.sweep_string_iterator()) for one in found}
    there = [key in cfg.hydra.runtime.choices or OmegaConf.select(cfg, key, default="?") != "?" for key in keys]
    return keys if all(there) else None


@pytest.mark.parametrize("grid", [slowly(name, "methods") for name in GRIDS])
def test_each_value_of_a_grid_composes_and_fits(grid: str) -> None:
    programs = []
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        for primary, settings in PROGRAMS.items():
            if (keys := grid_of(primary, grid)) is None:
                continue
            programs.append(primary)
            for key, values in keys.items():
                assert len(set(values)) > 1
                for value in values:
                    check(compose(primary, [f"sweep=[{grid}]", f"{key}={value}"]), settings)
    assert programs == {"encoders": ["train"], "budgets": ["invert", "edit"]}.get(grid, programs) and programs


@pytest.mark.slow
def test_a_grid_needs_no_flag_and_the_command_line_wins(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = [*PROJECTION, "sweep=[spaces,seeds]", "space=w,z"]
    assert program(invert, words, monkeypatch) == 0
    assert "sweep: 6 cells: 6 done\n" in capsys.readouterr().out
    folders = sorted(path.parent.name[:-13] for path in here.glob("outputs/invert/*/result.json"))
    assert folders == [f"{space}_random_seed{seed}" for space in "wz" for seed in range(3)]
    assert program(invert, ["-m", *words], monkeypatch) == 0
    assert "sweep: 6 cells: 6 finished before\n" in capsys.readouterr().out


def test_a_grid_that_is_not_there_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert program(invert, [*PROJECTION, "sweep=[space]"], monkeypatch) == 2
    assert capsys.readouterr().err.startswith("error: sweep: there is no option 'space'; did you mean 'spaces'?")


@pytest.mark.slow
def test_trainings_of_a_sweep_have_a_folder_each_and_are_done_once(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = ["-m", *TRAINING, "seed=0,1"]
    assert program(train, words, monkeypatch) == 0
    assert "sweep: 2 cells: 2 done\n" in capsys.readouterr().out
    weights = sorted(here.glob("outputs/train/encoder_*/weights.safetensors"))
    assert len(weights) == 2 and weights[0].read_bytes() != weights[1].read_bytes()
    times = [path.stat().st_mtime_ns for path in weights]
    (weights[0].parent / "result.json").unlink()
    with hold(weights[0].parent / ".lock"):
        assert program(train, words, monkeypatch) == 0
        assert "sweep: 2 cells: 1 finished before, 1 left to other processes\n" in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in weights] == times
    assert program(train, words, monkeypatch) == 0
    assert "sweep: 2 cells: 1 done, 1 finished before\n" in capsys.readouterr().out
    assert program(train, TRAINING, monkeypatch) == 0 and (here / "outputs/train/encoder/result.json").is_file()
