"""What is imported, and so waited for, before a program has anything to do."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torchvision
from omegaconf import DictConfig

from zstar.losses.lpips import BACKBONES
from zstar.projection.run import run

PLUMBING = {"_distutils_hack", "antlr4", "attr", "filelock", "hydra", "hydra_plugins", "omegaconf", "packaging", "yaml"}
TORCH = {"PIL", "cuda", "jaxtyping", "numpy", "safetensors", "torch", "torchgen", "tqdm", "typing_extensions"}
PROGRAM = """
import sys
import zstar.cli
if len(sys.argv) > 1:
    zstar.cli.invert()
files = {name: str(getattr(module, "__file__", "")) for name, module in list(sys.modules.items())}
print(*{name.split(".")[0] for name, file in files.items() if "site-packages" in file})
"""


def loaded(root: Path, home: Path, *words: str) -> tuple[str, set[str]]:
    """What ``invert.py`` prints with these words, and the installed packages that it loads; without words, nothing is
    done."""
    environment = {**os.environ, "TORCH_HOME": str(home)}  # where no backbone of lpips lies
    command = [sys.executable, "-c", PROGRAM, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, timeout=300, check=True)
    *printed, names = done.stdout.splitlines()
    packages = {name for name in names.split() if not name.startswith("__editable__")}
    return "\n".join(printed), packages - {"zstar"}


def test_the_entry_points_load_hydra_and_little_else(root: Path, tmp_path: Path) -> None:
    assert loaded(root, tmp_path)[1] <= PLUMBING


@pytest.mark.slow
def test_a_finished_run_loads_torch_and_none_of_the_libraries_that_it_has_no_use_for(
    root: Path, composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    words = ["data.count=1", "steps=1", "projector=[mean,optimization]", f"output={tmp_path}"]
    run(composed("invert", *words, "logger=none"))
    printed, packages = loaded(root, tmp_path, *words, "logger=wandb")  # which would start it if there were work
    assert printed.startswith("finished already")
    assert packages <= PLUMBING | TORCH  # not torchmetrics, torchvision, polars, jinja2, wandb, …


def test_the_backbones_of_lpips_are_called_as_torchvision_calls_them() -> None:
    weights = (
        torchvision.models.AlexNet_Weights,
        torchvision.models.VGG16_Weights,
        torchvision.models.SqueezeNet1_1_Weights,
    )
    assert list(BACKBONES.values()) == [kind.IMAGENET1K_V1.url for kind in weights]
