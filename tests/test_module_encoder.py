"""A network of one's own as the encoder, such as the one that came with the generator; encoders for such generators."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from zstar.checkpoints.io import load_into, load_weights, save_weights
from zstar.config.build import build, offer
from zstar.config.check import check
from zstar.config.schema import Train
from zstar.encoders.base import EncoderSpec
from zstar.encoders.module import Module as OwnEncoder
from zstar.encoders.trained import load_encoder, own_encoder
from zstar.generators.module import Module as OwnGenerator
from zstar.images import write_png
from zstar.projection.job import make_job
from zstar.projection.run import run
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z
from zstar.tasks.fit import fit


class Encoder(nn.Module):
    """Grey images of 8×8 in [0, 1] → (μ, log σ²) of 5 latents, or what ``kind`` says."""

    def __init__(self, kind: str = "tuple", latents: int = 5) -> None:
        super().__init__()
        self.kind = kind
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.mu, self.log_var = nn.Linear(64, latents), nn.Linear(64, latents)

    def forward(self, images: torch.Tensor) -> Any:
        x = self.body(images)
        return {
            "tuple": lambda: (self.mu(x), self.log_var(x)),
            "dict": lambda: {"mu": self.mu(x), "log_var": self.log_var(x)},
            "plain": lambda: self.mu(x),
            "map": lambda: self.mu(x)[:, :, None, None],
            "whole": lambda: self.mu(x).round().long(),
        }[self.kind]()


class Decoder(nn.Module):
    """z of 5 coordinates, however shaped → grey images of 8×8 in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(5, 64)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.body(z.flatten(1)).sigmoid().unflatten(1, (1, 8, 8))


@pytest.fixture
def generator() -> OwnGenerator:
    return OwnGenerator(Decoder(), [5], output_range=[0, 1])


@pytest.fixture
def saved(tmp_path: Path) -> str:
    torch.save({"encoder": Encoder().state_dict(), "epoch": 3}, tmp_path / "encoder.pt")
    return str(tmp_path / "encoder.pt")


def faces(n: int = 3) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(4)) * 2 - 1


def test_a_network_of_ones_own_from_yaml(generator: OwnGenerator, saved: str) -> None:
    node = {
        "_target_": "zstar.encoders.trained.own_encoder",
        "network": {"_target_": f"{__name__}.Encoder"},
        "checkpoint": saved,
        "checkpoint_key": "encoder",
        "input_range": [0, 1],
        "output": 0,
    }
    check({"encoder": node})
    space = Z(generator)
    encoder = offer(node, space=space)
    images = faces().requires_grad_()
    (latent,) = encoder(space, images)
    reference = Encoder().eval()
    reference.load_state_dict(load_weights(saved, "encoder"))
    assert torch.allclose(latent, reference((images + 1) / 2)[0], atol=1e-6)
    latent.sum().backward()
    assert images.grad.abs().sum() > 0  # the in-domain term needs E's gradient with respect to the image
    assert not encoder.network.training and not any(value.requires_grad for value in encoder.network.parameters())
    assert torch.allclose(torch.cat([encoder(space, image[None])[0] for image in images]), latent, atol=1e-6)
    with pytest.raises(ValueError, match="in 2 passes what it finds in 1"):
        encoder(space, images, passes=2)


@pytest.mark.parametrize(
    ("kind", "output", "shape"),
    [
        ("tuple", 0, [5]), ("tuple", 1, [5]), ("dict", "mu", [5]), ("plain", None, [5]),
        ("plain", None, [5, 1, 1]), ("map", None, [5]), ("map", None, [5, 1, 1]),
    ],
)  # fmt: skip
def test_outputs_of_all_kinds(kind: str, output: int | str | None, shape: list[int]) -> None:
    network = Encoder(kind)
    spec = EncoderSpec(8, 1, tuple(shape), torch.zeros(shape), 1.0)
    wrapped = OwnEncoder(spec, network, output=output)
    found = wrapped(faces(), torch.zeros(3, *shape))
    x = network.body(faces())
    assert torch.equal(found.flatten(1), (network.log_var if output == 1 else network.mu)(x))
    assert found.shape == (3, *shape)


def test_what_does_not_fit_gets_one_sentence(generator: OwnGenerator, saved: str) -> None:
    for arguments, message in [
        ({"network": Encoder(latents=6)}, r"'mu.weight' is \(5, 64\) in .*encoder.pt, but \(6, 64\) in Encoder"),
        ({"checkpoint_key": "ema"}, "no state dict 'ema'; there are: encoder"),
        ({"network": Encoder(latents=6), "checkpoint": None}, r"Encoder makes \(2, 6\) of two images, .* \(2, 5\)"),
        ({"output": None}, "encoder.output: Encoder gives 0, 1; say which of them is the latent"),
        ({"output": 2}, "encoder.output: Encoder gives 0, 1, not 2; say"),
        ({"network": Encoder("dict")}, "encoder.output: Encoder gives mu, log_var, not 0; say"),
        ({"network": Encoder("plain")}, "encoder.output: Encoder has one output, so there is no 0; set it to null"),
        ({"network": Encoder("whole"), "output": None}, "encoder.network: Encoder gives a Tensor and no batch"),
        ({"network": nn.Conv2d(3, 5, 8), "checkpoint": None}, r"Conv2d does not take images \[b, \(1, 8, 8\)\]"),
        ({"input_range": [1.0, 0.0]}, r"encoder.input_range: \[1.0, 0.0\] is no range"),
        ({"latents": "w"}, "encoder.latents: the generator has no space 'w'; choose one of z"),
    ]:
        with pytest.raises(ValueError, match=message) as error:
            own_encoder(**{"space": Z(generator), "network": Encoder(), "checkpoint": saved, "output": 0, **arguments})
        assert "\n" not in str(error.value)


def test_its_latents_are_lifted_into_a_richer_space(tiny: Any) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 16))
    space, images = WPlus(tiny, prior_samples=50), torch.rand(2, 3, 16, 16)
    (found,) = own_encoder(space, network)(space, images)
    assert torch.equal(found, tiny.lift(network(images), "z", "w_plus"))
    rows = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 16 * len(found[0])), nn.Unflatten(1, found.shape[1:]))
    assert torch.equal(own_encoder(space, rows, "w_plus")(space, images)[0], rows(images))
    with pytest.raises(ValueError, match="gives latents of w_plus, which are no latents of z"):
        own_encoder(Z(tiny), rows, "w_plus")


def test_counters_that_old_files_lack_are_not_missed(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    weights = {name: value + 1 for name, value in network.state_dict().items() if "tracked" not in name}
    load_into(network, weights, "old.pth")
    assert torch.equal(network[1].running_var, weights["1.running_var"])
    del weights["1.running_var"]
    with pytest.raises(ValueError, match=r"old.pth lacks '1.running_var' \(2,\) of Sequential"):
        load_into(network, weights, "old.pth")


@pytest.fixture
def own(tmp_path: Path) -> list[str]:
    """The words that choose the networks above and a folder of photos."""
    for name, kind in (("G", Decoder), ("E", Encoder)):
        torch.save(kind().state_dict(), tmp_path / f"{name}.pt")
    for i, image in enumerate(faces(12)):
        write_png(tmp_path / "photos" / f"{i:02d}.png", image)
    return [
        "generator=module", f"generator.network={{_target_: {__name__}.Decoder}}", "generator.latent_shape=[5]",
        f"generator.checkpoint={tmp_path / 'G.pt'}", "generator.output_range=[0,1]", "space=z",
        "space.prior_samples=100", "data=folder", f"data.path={tmp_path / 'photos'}", "loss=[pixel]", "logger=none",
    ]  # fmt: skip


def invert(composed: Callable[..., DictConfig], tmp_path: Path, *words: str) -> DictConfig:
    chosen = [f"encoder.checkpoint={tmp_path / 'E.pt'}", "encoder.input_range=[0,1]", "encoder.output=0"]
    network = f"encoder.network={{_target_: {__name__}.Encoder}}"
    out = [f"output={tmp_path / 'runs'}", "metric=[mse]"]
    return composed("invert", "encoder=module", network, *chosen, *out, *words)


def test_projection_by_it_and_from_it(tmp_path: Path, composed: Callable[..., DictConfig], own: list[str]) -> None:
    only = run(invert(composed, tmp_path, *own, "projector=[encoder]"))
    network, images = Encoder().eval(), torch.cat([b.images for b in build(folder(own)).batches(5)])
    network.load_state_dict(load_weights(tmp_path / "E.pt"))
    latents = load_weights(Path(only["folder"]) / "latents.safetensors")["latent"]
    assert torch.allclose(latents, network((images + 1) / 2)[0], atol=1e-6)
    hybrid = run(invert(composed, tmp_path, *own, "projector=[encoder,optimization]", "steps=5"))
    penalised = run(invert(composed, tmp_path, *own, "regularizer=[in_domain]", "steps=5"))
    assert hybrid["summary"]["mse"]["mean"] < only["summary"]["mse"]["mean"]
    assert penalised["config_hash"] != hybrid["config_hash"]


def folder(own: list[str]) -> dict[str, Any]:
    path = next(word for word in own if word.startswith("data.path=")).partition("=")[2]
    return {"_target_": "zstar.data.folder.Folder", "path": path, "resolution": 8, "channels": 1}


def test_other_weights_are_another_run(tmp_path: Path, composed: Callable[..., DictConfig], own: list[str]) -> None:
    words = invert(composed, tmp_path, *own, "projector=[encoder]")
    first = make_job(words).key
    torch.manual_seed(9)
    torch.save(Encoder().state_dict(), tmp_path / "E.pt")
    assert make_job(words).key != first


TRAIN = [
    "task=encoder", "task.steps=3", "task.batch=6", "task.samples=0.5", "task.flip=0.5", "metric=[mse]",
    "trainer.accelerator=cpu", "callbacks.checkpoint_minutes=10", "callbacks.samples_every=0",
    "callbacks.scores_every=0", "callbacks.snapshot_every=0",
]  # fmt: skip
SMALL = {
    "igan": ["encoder.width=4", "encoder.limit=1"],
    "resnet": ["encoder.width=8", "encoder.blocks=1", "encoder.hidden=8"],
    "psp": ["encoder.width=8", "encoder.blocks=1", "encoder.pyramid=8"],
    "restyle": ["encoder.passes=2", "encoder.encoder.width=8", "encoder.encoder.pyramid=8"],
}


@pytest.mark.parametrize("name", SMALL)
def test_every_encoder_learns_for_ones_own_generator_and_folder(
    name: str, tmp_path: Path, composed: Callable[..., DictConfig], own: list[str]
) -> None:
    """Latents as a DCGAN has them: a map of one pixel, uniform on [−1, 1] and kept there."""
    shaped = ["generator.latent_shape=[5,1,1]", "generator.prior=uniform", "space.constraint=clamp", "space.limit=1"]
    cfg = composed("train", *TRAIN, *own, *shaped, f"encoder={name}", *SMALL[name])
    result = fit(cfg, tmp_path / "run")
    assert result["scores"]["mse"] > 0 and result["scores"]["samples/latent_distance"] > 0
    space = build(cfg.space, generator=build(cfg.generator))
    encoder = load_encoder(tmp_path / "run" / "weights.safetensors", space=space)
    found = encoder(space, faces())[-1]
    assert found.shape == (3, 5, 1, 1) and found.abs().max() <= 1
    assert space.decode(found).shape == (3, 1, 8, 8)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data.resolution=16"], "data: its images are 1×16×16 and the generator makes 1×8×8; set data.resolution=8,"),
        (["data.channels=3"], "data: its images are 3×8×8 and the generator makes 1×8×8; set data.channels=1, or"),
        (
            ["data.channels=3", "data.resolution=16"],
            "data: its images are 3×16×16 and the generator makes 1×8×8; set data.channels=1 and data.resolution=8, or",
        ),
        (["task.batch=12"], "task.batch: 12 is more than the 11 images there are"),
        (["data.path=nowhere"], "data.path: there is no folder or .tar file 'nowhere'"),
        (
            ["encoder=shipped"],
            "encoder: this one is finished and there is nothing to train; choose one that can be trained",
        ),
    ],
)
def test_a_folder_that_does_not_fit_gets_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, composed: Callable[..., DictConfig], own: list[str]
) -> None:
    encoder = [] if "encoder=shipped" in words else ["encoder=igan", "encoder.width=4"]
    cfg = composed("train", *TRAIN, *own, *encoder, *words)
    with warnings.catch_warnings(), pytest.raises(ValueError) as error:
        warnings.simplefilter("ignore")
        fit(cfg, tmp_path / "run")
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


def example(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(str(root / "examples" / name))
    return f"hydra.searchpath=[file://{root / 'examples' / name / 'conf'}]"


def test_faces_by_the_encoder_of_their_vae(
    composed: Callable[..., DictConfig], root: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, images = (
        shared / "assets" / name for name in ("celeba-vae-64/celeba_vae64_z32.pth", "celeba-5k/images_89x109.tar")
    )
    if not checkpoint.is_file() or not images.is_file():
        pytest.skip("needs assets/celeba-vae-64 and assets/celeba-5k")
    words = [
        example(root, "celeba_vae", monkeypatch), "generator=celeba_vae", f"generator.checkpoint={checkpoint}",
        "encoder=celeba_vae", "space=z", "data=folder", f"data.path={images}", "data.fit=resize", "data.count=100",
        "loss=[pixel]", "metric=[mse]", "batch_size=50", "logger=none", f"output={tmp_path}", "projector=[encoder]",
    ]  # fmt: skip
    job = make_job(composed("invert", *words))
    batch = job.data.read(range(100))
    (latent,) = job.pipeline.projectors[0].encoder(job.pipeline.problem.space, batch.images)
    error = (job.pipeline.problem.space.decode(latent) - batch.images).square().flatten(1).mean(dim=1) / 4
    # Of its training: 0.0165 in [0, 1], on images scaled by another filter; a wrong range gives 0.05 and more.
    assert 0.0155 < error.mean() < 0.0185
    assert 0.8 < latent.std() < 1.2 and latent.mean().abs() < 0.05  # what a VAE promises of μ
    shuffled = (job.pipeline.problem.space.decode(latent.roll(1, 0)) - batch.images).square().mean() / 4
    assert shuffled > 2.5 * error.mean()


@pytest.mark.slow
def test_recipe_of_grumpy_cats(
    composed: Callable[..., DictConfig], root: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, cats = (
        shared / "assets" / name for name in ("grumpy-dcgan-64/G_iter6400.pkl", "grumpy-cats-64/grumpyB_204.tar")
    )
    if not checkpoint.is_file() or not cats.is_file():
        pytest.skip("needs assets/grumpy-dcgan-64 and assets/grumpy-cats-64")
    words = [f"generator.checkpoint={checkpoint}", f"data.path={cats}", "logger=none", "trainer.accelerator=cpu"]
    small = ["encoder.width=8", "task.steps=2", "task.batch=4", "task.warmup=0", "metric=[mse]"]
    search = example(root, "grumpy", monkeypatch)
    recipe = composed("train", search, "experiment=grumpy_encoder", *words)
    check(recipe, Train)
    assert recipe.task.batch <= 184  # what is left of 204 cats
    fit(composed("train", search, "experiment=grumpy_encoder", *words, *small), tmp_path)
    generator = build(recipe.generator)
    space = build(recipe.space, generator=generator)
    assert load_encoder(tmp_path / "weights.safetensors", space=space).network.shape == (100, 1, 1)


def test_a_shipped_file_is_an_own_checkpoint_too(tmp_path: Path, generator: OwnGenerator) -> None:
    network = Encoder("plain")
    save_weights(tmp_path / "own.safetensors", network.state_dict(), {"kind": "encoder"})
    encoder = own_encoder(Z(generator), Encoder("plain"), checkpoint=str(tmp_path / "own.safetensors"))
    assert torch.equal(encoder.network.network.mu.weight, network.mu.weight)
