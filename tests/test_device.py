"""What computes is no more of a result than it has to be: the kind of device counts, and which GPU does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from zstar.editing.job import make_edit_job
from zstar.projection.device import pick_device
from zstar.projection.job import make_job
from zstar.projection.run import run
from zstar.runs.folder import config_hash, machine
from zstar.tasks.processes import one_gpu

SMALL = [
    "generator=stylegan2", "data.resolution=16", "data.count=2", "steps=2", "space=w", "space.prior_samples=50",
    "loss=[pixel]", "metric=[psnr]", "logger=none", "projector=[mean]",
]  # fmt: skip


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """``gpus(2)`` pretends that torch sees two; what is moved to one stays where it is."""

    def pretend(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {torch.device(device).index or 0}")
        monkeypatch.setattr(torch.nn.Module, "to", lambda self, *_arguments, **_options: self)

    return pretend


@pytest.fixture
def cell(composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """``cell(3)`` makes this process's job the fourth of a sweep."""

    def enter(number: int) -> None:
        cfg = composed("invert", "hydra.mode=MULTIRUN", f"hydra.job.num={number}", return_hydra_config=True)
        monkeypatch.setattr(HydraConfig.instance(), "cfg", cfg)

    return enter


@pytest.mark.parametrize(
    ("count", "number", "device"), [(2, 0, "cuda:0"), (2, 3, "cuda:1"), (1, 3, "cuda"), (0, 3, "cpu")]
)
def test_the_cells_of_a_sweep_take_the_gpus_in_turn(
    count: int, number: int, device: str, gpus: Callable[..., None], cell: Callable[..., None]
) -> None:
    gpus(count)
    alone = torch.device("cuda" if count else "cpu")
    assert pick_device("auto") == alone
    cell(number)
    assert pick_device("auto") == torch.device(device)
    assert pick_device("cpu") == torch.device("cpu")
    if count:
        assert pick_device("cuda") == torch.device("cuda")  # who names one gets that one


@pytest.mark.parametrize(
    ("trainer", "chosen"),
    [
        ({"accelerator": "auto", "devices": 1}, {"devices": [1]}),
        ({"devices": "1"}, {"devices": [1]}),
        ({"accelerator": "cpu", "devices": 1}, {}),
        ({"accelerator": "gpu", "devices": "auto"}, {}),
        ({"accelerator": "gpu", "devices": [0]}, {}),
    ],
)
def test_trainings_of_a_sweep_take_the_gpus_in_turn(
    trainer: dict[str, Any], chosen: dict[str, Any], gpus: Callable[..., None], cell: Callable[..., None]
) -> None:
    gpus(2)
    assert one_gpu(trainer) == {}
    cell(5)
    assert one_gpu(trainer) == chosen


def test_which_gpu_it_is_makes_no_other_run(
    composed: Callable[..., DictConfig], weights: str, gpus: Callable[..., None]
) -> None:
    def job(*words: str) -> Any:
        return make_job(composed("invert", *SMALL, weights, *words))

    here = [job(), job("device=cpu")]
    gpus(2)
    there = [job(), job("device=cuda"), job("device=cuda:0"), job("device=cuda:1")]
    assert len({one.key for one in here}) == len({one.latents for one in here}) == 1
    assert len({one.key for one in there}) == len({one.latents for one in there}) == 1
    assert here[0].key != there[0].key == job("device=cuda:1").key != job("device=cpu").key == here[0].key


def test_which_gpu_it_is_makes_no_other_edit(
    composed: Callable[..., DictConfig], weights: str, gpus: Callable[..., None]
) -> None:
    words = [weights, "data=samples", "data.count=2", "direction=[random]"]
    small = [word for word in SMALL if not word.startswith("data")]

    def key(device: str) -> str:
        cfg = composed("edit", *small, *words, "space@search=w", "search.prior_samples=50", f"device={device}")
        return make_edit_job(cfg).key

    here = {key("cpu"), key("auto")}
    gpus(2)
    there = {key("auto"), key("cuda:0"), key("cuda:1")}
    assert len(here) == len(there) == 1 and here != there


def test_hashes_of_configurations_have_no_number_of_a_gpu() -> None:
    """The failures of cells and the studies of searches are found by them, whichever GPU the next process has."""
    first, second, third = (config_hash({"device": device, "steps": 2}) for device in ("cuda:0", "cuda:1", "cpu"))
    assert first == second != third


@pytest.mark.slow
def test_processes_with_a_gpu_each_share_a_search(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="searches need Optuna: pip install 'zstar[tune]'")
    from zstar.tune.search_space import Choice
    from zstar.tune.study import Study

    def study(device: str) -> Study:
        words = ["generator=cottages", "data.split=validation", "loss=[pixel]", f"device={device}"]
        return Study(tmp_path / "study", {"steps": Choice(("2", "3"))}, words, "psnr")

    assert study("cuda:0").describe() == study("cuda:1").describe()
    with pytest.raises(ValueError, match="choose another --name"):
        study("cpu")


def test_the_machine_is_the_one_that_was_used(
    composed: Callable[..., DictConfig], weights: str, gpus: Callable[..., None], tmp_path: Path
) -> None:
    gpus(2)
    assert machine(torch.device("cuda", 1))["gpu"] == "card 1"
    result = run(composed("invert", *SMALL, weights, "device=cpu", f"output={tmp_path}"))
    assert result["machine"]["gpu"] is None and result["machine"]["cpu"]
    assert result["device"] == "cpu"
