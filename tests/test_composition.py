"""Hydra's composition, quicker: the same configurations, files that change, and a Hydra of another version."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig

SAME = """
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from zstar.config.composition import adapt_hydra

CASES = [
    ("invert", []),
    ("invert", ["steps=3", "projector=[mean]", "loss=[pixel,lpips]", "loss.lpips.weight=2", "+data.extra=1"]),
    ("invert", ["steps=4", "projector=[mean]", "loss=[pixel,lpips]", "loss.lpips.weight=3", "~tags"]),
    ("invert", ["method=idinvert", "space=w"]),
    ("edit", ["combine=grid", "hydra.job.name=other", "~method"]),
    ("train", ["task=annotator", "+seeds={a: 1}"]),
]


def texts():
    with initialize_config_module("zstar.conf", version_base="1.3"):
        configs = [compose(name, words, return_hydra_config=True) for name, words in CASES]
    return [(OmegaConf.to_yaml(config), OmegaConf.is_struct(config)) for config in configs]


plain = texts()
assert adapt_hydra()
assert texts() == plain
assert texts() == plain  # from memory
"""
OTHER = """
import sys
import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository

hydra.__version__ = "1.3.99"
before = vars(ConfigLoaderImpl) | vars(ConfigRepository)
import zstar.cli
assert vars(ConfigLoaderImpl) | vars(ConfigRepository) == before
zstar.cli.invert()
"""


def program(text: str, root: Path, *words: str) -> subprocess.CompletedProcess:
    """A process of its own, as what is changed inside Hydra stays changed."""
    environment = {**os.environ, "HYDRA_FULL_ERROR": "1"}
    command = [sys.executable, "-c", text, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, timeout=300)


@pytest.mark.slow
def test_what_is_composed_is_what_hydra_alone_composes(root: Path) -> None:
    done = program(SAME, root)
    assert done.returncode == 0, done.stderr


def test_a_file_that_changed_is_read_again(tmp_path: Path, composed: Callable[..., DictConfig]) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "main.yaml").write_text("defaults: [_self_, group: a]\nx: 1\n")
    (tmp_path / "group" / "a.yaml").write_text("y: 1\n")
    assert composed("main", config_dir=tmp_path) == {"x": 1, "group": {"y": 1}}
    (tmp_path / "group" / "a.yaml").write_text("y: 22\n")
    assert composed("main", config_dir=tmp_path) == {"x": 1, "group": {"y": 22}}
    (tmp_path / "main.yaml").write_text("defaults: [_self_, group: b, optional c: d]\n")
    with pytest.raises(ConfigCompositionException, match="group/b"):
        composed("main", config_dir=tmp_path)
    (tmp_path / "group" / "b.yaml").write_text("z: 3\n")
    assert composed("main", config_dir=tmp_path) == {"group": {"z": 3}}
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "d.yaml").write_text("z: 4\n")
    assert composed("main", config_dir=tmp_path) == {"group": {"z": 3}, "c": {"z": 4}}


def test_a_choice_may_name_another_choice(tmp_path: Path, composed: Callable[..., DictConfig]) -> None:
    for file in ("group/a", "group/b", "other/a_b", "other/b_b"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / f"{file}.yaml").write_text(f"is: {file}\n")
    (tmp_path / "main.yaml").write_text("defaults: [group: a, other: '${group}_b']\n")
    assert composed("main", config_dir=tmp_path).other == {"is": "other/a_b"}
    assert composed("main", "group=b", config_dir=tmp_path).other == {"is": "other/b_b"}


def test_what_is_composed_belongs_to_who_asked(composed: Callable[..., DictConfig]) -> None:
    composed("invert").data.count = 12345
    assert composed("invert").data.count != 12345


@pytest.mark.slow
def test_a_hydra_of_another_version_stays_as_it_is_and_runs_sweeps_by_its_own_rules(root: Path, tmp_path: Path) -> None:
    words = ["-m", "data.count=1", "projector=[mean]", "loss=[pixel]", "metric=[mse]", "logger=none", "seed=0,x"]
    words += [f"output={tmp_path}/runs", f"hydra.sweep.dir={tmp_path}/sweep", "space.prior_samples=10"]
    done = program(OTHER, root, *words)
    assert done.returncode == 1, done.stderr
    assert "sweep: 2 cells: 1 done, 1 failed" in done.stdout
