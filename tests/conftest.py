"""What every test gets: annotations that are checked, no network, few threads, and the ways to data and configs."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxtyping import install_import_hook

install_import_hook("zstar", "typecheck.typechecker")  # before anything imports zstar
os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "HYDRA_FULL_ERROR": "1", "CUDA_VISIBLE_DEVICES": ""}

import pytest  # noqa: E402
import torch  # noqa: E402
from hydra import compose, initialize_config_dir  # noqa: E402
from omegaconf import DictConfig  # noqa: E402

ROOT = Path(__file__).parents[1]
torch.set_num_threads(min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The global random numbers of a test don't depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for the network fails instead of depending on it."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"a test tried to connect to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference networks and images that lies beside the project where there is one."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the reference data in ../shared, which is not part of the project")
    return folder


def _compose(primary: str, *overrides: str, config_dir: Path = ROOT / "conf", **options: Any) -> DictConfig:
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir)):
        return compose(primary, overrides=list(overrides), **options)


@pytest.fixture(scope="session")
def composed() -> Callable[..., DictConfig]:
    """``composed("invert", "space=w", …)``: a primary config with overrides, from the files of this checkout."""
    return _compose


@pytest.fixture(scope="session")
def tiny() -> torch.nn.Module:
    """A StyleGAN2 of 16×16 pixels with random weights: every kind of layer, in a millisecond or two."""
    from zstar.generators.stylegan2 import StyleGAN2

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return StyleGAN2(resolution=16, z_dim=16, w_dim=16, num_mapping_layers=2, channel_max=16)
