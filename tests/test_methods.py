"""Every published method is a file that composes, builds and projects."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import fake_device
import pytest
import torch
import yaml

from zstar.checkpoints.io import save_weights
from zstar.config.build import build
from zstar.data.cottages import Cottages
from zstar.encoders.base import EncoderSpec
from zstar.generators.stylegan2 import StyleGAN2
from zstar.losses.targets import Targets
from zstar.projection.job import make_job
from zstar.projectors.base import project
from zstar.spaces.base import AbstractSpace
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z

METHODS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "conf" / "method").glob("*.yaml"))}
FOLDER = Path(tempfile.mkdtemp(prefix="zstar-"))
SMALL = [
    "generator=stylegan2", f"generator.checkpoint={FOLDER}/tiny.safetensors", "space.prior_samples=100",
    "data.resolution=16", "data.count=2", "metric=[mse]", "logger=none", "device=cpu", "loss=[pixel]", "steps=3",
]  # fmt: skip
SIZES = {"width": 8, "width_max": 8, "blocks": 1}
PYRAMID = {"_target_": "zstar.encoders.psp.PSP", "_partial_": True, **SIZES, "pyramid": 8}
RESTYLE = {"_target_": "zstar.encoders.restyle.ReStyle", "_partial_": True, "passes": 3, "encoder": PYRAMID}
NODES = {
    "psp": (WPlus, PYRAMID),
    "restyle": (WPlus, RESTYLE),
    "resnet": (Z, {"_target_": "zstar.encoders.resnet.ResNet", "_partial_": True, **SIZES, "hidden": 16}),
}  # fmt: skip
ENCODERS = {
    "psp": "psp", "hybrid": "psp", "weight_space": "psp", "semantic_photo": "psp", "feature_style": "psp",
    "e4e": "psp", "idinvert": "psp", "restyle": "restyle",
    "igan_hybrid": "resnet", "igan_network": "resnet",
}  # fmt: skip
OWN = {  # of a method that brings its generator: what is said in the place of ``SMALL``'s
    "deep_image_prior": ["generator.resolution=16", "generator.width=8", "generator.scales=2"]
}
BUDGETS = {
    "pix2latent_cma": ["projector.cma.generations=2"],
    "basin_cma": ["projector.basin_cma.generations=2", "projector.basin_cma.steps=2"],
    "restyle": ["projector.encoder.passes=3"],
    "pti": ["projector.weights.steps=2"],
    "weight_space": ["projector.weights.steps=2"],
    "semantic_photo": ["projector.features.steps=2"],
    "dgp": ["projector.best_of.candidates=3", "projector.weights.stages=[{steps: 2, depth: [0, 0.5]}, {steps: 1}]"],
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def files(tiny: StyleGAN2, store_generator: Callable[..., None]) -> Iterator[None]:
    """A generator, and encoders for it, in files."""
    store_generator(FOLDER / "tiny.safetensors", tiny)
    for name, (kind, node) in NODES.items():
        space: AbstractSpace = kind(tiny, prior_samples=100)
        network = build(node)(spec=EncoderSpec.of(space))
        card = {"kind": "encoder", "network": node, "resolution": tiny.resolution, "channels": tiny.channels}
        card |= {"space": space.name, "generator": tiny.fingerprint()}
        save_weights(FOLDER / f"{name}.safetensors", network.state_dict(), card)
    yield
    shutil.rmtree(FOLDER)


def words_of(name: str) -> list[str]:
    """A small run of a method."""
    generator = OWN.get(name, SMALL[:2])
    words = [f"method={name}", *generator, *SMALL[2:], *BUDGETS.get(name, [])]
    if name in ENCODERS:
        words += ["encoder=trained", f"encoder.checkpoint={FOLDER}/{ENCODERS[name]}.safetensors"]
    return words


@pytest.mark.parametrize("name", METHODS)
def test_a_method_projects(name: str, composed: Callable[..., Any]) -> None:
    words = words_of(name)
    job = make_job(composed("invert", *words))
    batch = Cottages(2, resolution=16).read(range(2))
    found = project(job.pipeline.problem, job.pipeline.projectors, Targets({"image": batch.images}, batch.ids))
    assert found.loss.isfinite().all() and found.status == ["done"] * 2 and not job.notices
    torch.testing.assert_close(found.render(job.pipeline.generator), found.image)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_method_projects_on_another_device(
    name: str, composed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fake_device.available():
        pytest.skip("needs a torch that can pretend a device")
    words = words_of(name)
    batch, found = Cottages(2, resolution=16).read(range(2)), []
    for place in ("cpu", None):
        with nullcontext() if place else fake_device.FakeDevice() as device, monkeypatch.context() as patch:
            where = torch.device(place or device.name)
            patch.setattr("zstar.projection.pipeline.pick_device", lambda _, where=where: where)
            pipeline = make_job(composed("invert", *words)).pipeline
            images = Targets({"image": batch.images.to(where)}, batch.ids)
            found.append(project(pipeline.problem, pipeline.projectors, images).loss.cpu())
    torch.testing.assert_close(found[1], found[0], rtol=0.02, atol=1e-3)


def test_the_list_of_methods_is_complete() -> None:
    """Optimisation in three spaces, the published optimisers, and the inverting networks."""
    assert METHODS.keys() >= {
        "adam_z", "adam_w", "adam_w_plus", "stylegan2", "image2stylegan", "igan", "igan_network", "igan_hybrid", "ii2s",
        "pix2latent_adam", "pix2latent_cma", "basin_cma", "pulse", "idinvert", "psp", "e4e", "restyle", "hybrid",
        "pti", "weight_space", "semantic_photo", "feature_style", "dgp", "deep_image_prior",
    }  # fmt: skip


@pytest.mark.parametrize("path", METHODS.values(), ids=lambda path: path.stem)
def test_a_method_names_its_paper(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# @package _global_\n# ") and "https://arxiv.org/abs/" in text
    assert "override /space" in text and "override /projector" in text
    assert yaml.safe_load(text)["label"] == path.stem
    assert yaml.safe_load(text).keys() <= {
        "label",
        "defaults",
        "steps",
        "noise",
        "space",
        "optimizer",
        "loss",
        "regularizer",
        "projector",
    }


def test_the_published_numbers(composed: Callable[..., Any]) -> None:
    cfg = {name: composed("invert", f"method={name}") for name in METHODS}
    steps = {
        "adam_z": (1000, 0.05), "adam_w": (1000, 0.1), "adam_w_plus": (1300, 0.01), "stylegan2": (1000, 0.1),
        "image2stylegan": (5000, 0.01), "ii2s": (1300, 0.01), "pulse": (100, 0.4), "pix2latent_adam": (500, 0.05),
        "pix2latent_cma": (300, 0.05), "basin_cma": (300, 0.05),
    }  # fmt: skip
    assert {name: (cfg[name].steps, cfg[name].optimizer.lr) for name in steps} == steps
    for name in ("pix2latent_adam", "pix2latent_cma", "basin_cma"):
        losses, space = cfg[name].loss, cfg[name].space
        assert losses.lpips.weight == pytest.approx(10 * losses.pixel.weight) and losses.pixel.kind == "l1"
        assert (losses.lpips.net, space.constraint, space.limit) == ("alex", "clamp", 2.0)
    search, basins = cfg["pix2latent_cma"].projector.cma, cfg["basin_cma"].projector.basin_cma
    assert (search.generations, search.sigma, search.population) == (200, 1.0, None)
    assert (basins.generations, basins.steps, basins.sigma, basins.inject) == (30, 30, 1.0, False)
    pivotal, prior = cfg["pti"].projector.weights, cfg["dgp"].projector
    assert (cfg["pti"].steps, pivotal.steps, pivotal.lr, pivotal.latent_lr) == (450, 350, 3e-4, None)
    assert prior.best_of.candidates == 500 and cfg["dgp"].regularizer.latent_norm.weight == 0.01
    stages = [(stage.steps, stage.lr) for stage in prior.weights.stages]
    assert stages == [(200, rate) for rate in (5e-5, 5e-5, 2e-5, 2e-5, 1e-5)]
    freed = [stage.depth[1] for stage in prior.weights.stages]
    assert freed == sorted(freed) and freed[-1] == 1 and all(stage.depth[0] == 0 for stage in prior.weights.stages)
    assert [prior.weights.stages[i].latent_lr for i in (0, -1)] == [2e-3, 1e-5]
    semantic, untrained = cfg["semantic_photo"], cfg["deep_image_prior"].projector.untrained
    assert (semantic.regularizer.feature_norm.weight, semantic.projector.features.form) == (0.1, "multiply")
    assert (untrained.lr, untrained.average, untrained.jitter) == (0.01, 0.99, 1.155)


def test_pulse_stays_on_the_sphere(composed: Callable[..., Any]) -> None:
    batch = Cottages(2, resolution=16).read(range(2))
    for words in ([], ["operator=[downscale]", "operator.downscale.filter=bicubic"]):
        job = make_job(composed("invert", "method=pulse", *SMALL, *words))
        found = project(job.pipeline.problem, job.pipeline.projectors, Targets({"image": batch.images}, batch.ids))
        torch.testing.assert_close(found.latent.norm(dim=1), torch.full((2,), 16**0.5))
