"""What every test gets: annotations that are checked, no network, few threads, and the ways to data and configs."""

import gc
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typecheck

gc.set_threshold(10_000, 10, 10)  # else up to a tenth of the time goes into looking for garbage
typecheck.install()  # before anything imports zstar
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
THREADS = max(1, min(2, cores // workers))  # of each worker, and of the programs that its tests start
os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "HYDRA_FULL_ERROR": "1"}
os.environ["OMP_NUM_THREADS"] = str(THREADS)

import fake_device  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from hydra import compose, initialize_config_dir  # noqa: E402
from omegaconf import DictConfig  # noqa: E402

from zstar.config.composition import adapt_hydra  # noqa: E402

ROOT = Path(__file__).parents[1]
torch.set_num_threads(THREADS)
if fake_device.GPUS:
    torch.cuda.init()  # for the tests of GPUs alone: all others, and the programs that they start, see none
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.fsync = lambda file: None  # no test pulls the plug, and a disk takes ten milliseconds for each file of each run
fake_device.register()  # before the first gradient
adapt_hydra()  # else composing configurations takes longer than many a test


def pytest_collection_finish() -> None:
    """What has been imported stays, and is not gone through again each time that garbage is collected."""
    gc.freeze()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The global random numbers of a test don't depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test is the same on a machine with a GPU, unless it is one of that."""
    if fake_device.GPUS and request.node.get_closest_marker("gpu") is None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


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


@pytest.fixture(scope="session")
def store_generator() -> Callable[..., None]:
    """``store_generator(path)`` writes a file of weights of the least StyleGAN2, or of the one that is given."""
    from zstar.checkpoints.io import save_weights
    from zstar.generators.stylegan2 import StyleGAN2

    def store(path: Path, generator: StyleGAN2 | None = None) -> None:
        if generator is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                generator = StyleGAN2(resolution=16, z_dim=8, w_dim=8, num_mapping_layers=1, channel_max=8)
        save_weights(path, generator.state_dict(), {"kind": "generator", "settings": generator.settings})

    return store


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory, store_generator: Callable[..., None]) -> str:
    """The word that chooses a generator of 16×16 pixels."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    store_generator(path)
    return f"generator.checkpoint={path}"


@pytest.fixture(scope="session")
def moco_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of MoCo v2 as its authors write it, with random weights and with what is of no use for features."""
    from torchvision.models import resnet50

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        body = resnet50().state_dict()
    state = {f"module.encoder_q.{name}": value for name, value in body.items() if not name.startswith("fc.")}
    head = {"module.encoder_q.fc.0.weight": torch.ones(4, 4), "module.encoder_q.fc.2.bias": torch.ones(4)}
    other = {"module.encoder_k.conv1.weight": torch.ones(4), "module.queue": torch.ones(4, 4)}
    path = tmp_path_factory.mktemp("moco") / "moco_v2.pth.tar"
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(4)}}, "param_groups": [{"lr": 0.03, "params": [0]}]}
    content = {"epoch": 800, "arch": "resnet50", "state_dict": state | head | other, "optimizer": optimizer}
    torch.save(content, path)
    return path


@pytest.fixture(scope="session")
def guess() -> Callable[..., Any]:
    """``guess(space, source)``: an encoder for ``space`` by one random layer, whose latents are of ``source``."""
    from zstar.encoders.base import AbstractEncoder, EncoderSpec
    from zstar.encoders.trained import TrainedEncoder

    class Guess(AbstractEncoder):
        def __init__(self, spec: EncoderSpec) -> None:
            super().__init__(spec)
            self.body = torch.nn.Linear(self.channels * self.resolution**2, self.rows * self.width)

        def forward(self, images: torch.Tensor, latent: torch.Tensor, reconstruction: Any = None) -> torch.Tensor:
            return self.place(self.body(images.flatten(1)).view(-1, self.rows, self.width))

    def make(space: Any, source: str | None = None) -> TrainedEncoder:
        generator, name = space.generator, source or space.name
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            mean = torch.zeros(generator.shape(name))
            network = Guess(EncoderSpec(generator.resolution, generator.channels, tuple(mean.shape), mean, 1.0))
        return TrainedEncoder(network.eval().requires_grad_(False), name)

    return make


@pytest.fixture
def finished(tmp_path: Path) -> Callable[..., str]:
    """``finished(problem, targets)``: the word that names a finished run with random latents of the targets."""
    from dataclasses import replace

    from zstar.projectors.base import project
    from zstar.projectors.random import Random

    def save(problem: Any, targets: Any) -> str:
        folder = tmp_path / "finished"
        seeded = replace(problem, seed=0)
        project(seeded, [Random(seeded)], targets).save(folder / "latents.safetensors")
        return f"inversion={folder}"

    return save


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of ``regularizer.realism`` for images of 16×16 pixels: a discriminator with random weights."""
    from zstar.checkpoints.io import save_weights
    from zstar.discriminators.stylegan2 import StyleGAN2

    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("judge") / "discriminator.safetensors"
    settings = {"resolution": 16, "channel_base": 128, "channel_max": 8}
    save_weights(path, StyleGAN2(**settings).state_dict(), {"kind": "discriminator"})
    node = {"_target_": "zstar.discriminators.stylegan2.StyleGAN2", **settings}
    return {"discriminator": node, "checkpoint": str(path)}


@pytest.fixture(scope="session")
def projected_judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a projected discriminator as conf/loss has it, random ones."""
    from zstar.discriminators.projected import Projected

    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("judge") / "projected.pt"
    torch.save(Projected().state_dict(), path)
    return path


@pytest.fixture(scope="session")
def brushes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Words for ``paint.py``: brushes that are found in a second, and projections that take little more."""
    from painters import write_units

    path = write_units(tmp_path_factory.mktemp("units") / "brushes.safetensors")
    return [f"units={path}", "steps=3", "projector=[encoder_or_mean,optimization]", "data.count=4"]


@pytest.fixture(scope="module")
def playwright() -> Any:
    """What drives a browser."""
    return pytest.importorskip("playwright.sync_api", reason="needs playwright, which the extra dev has")


@pytest.fixture(scope="module")
def browser(playwright: Any) -> Iterator[Any]:
    """A browser for pages."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs chromium, chromium-browser or google-chrome on the path")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()
