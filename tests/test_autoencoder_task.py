"""Training of VAEs and VQ-VAE-2: they learn, go on exactly, and what they export draws the same pictures."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from omegaconf import DictConfig

from zstar.checkpoints.io import load_weights, save_weights
from zstar.data.base import AbstractData
from zstar.data.cottages import Cottages
from zstar.generators.vae import VAE
from zstar.generators.vqvae2 import VQVAE2
from zstar.images import write_png
from zstar.projection.run import run
from zstar.tasks.autoencoder import AutoencoderTask
from zstar.tasks.fit import fit
from zstar.tasks.fitting import in_rows

TRAINING = [
    "task=autoencoder", "trainer.accelerator=cpu", "logger=none", "data.resolution=16", "data.count=64", "task.steps=6",
    "task.batch=4", "validation.count=4", "metric=[psnr]", "loss=[pixel]", "callbacks.checkpoint_minutes=0",
    "callbacks.samples_every=0", "callbacks.scores_every=0", "callbacks.snapshot_every=0", "generator.resolution=16",
]  # fmt: skip
SIZES = {
    "vae": ["generator=vae", "generator.z_dim=6", "generator.widths=[8,12]"],
    "vqvae2": [
        "generator=vqvae2", "generator.width=8", "generator.num_blocks=1", "generator.inner=4", "generator.embed_dim=4",
        "generator.num_codes=8",
    ],
}  # fmt: skip
KINDS = {"vae": VAE, "vqvae2": VQVAE2}


@pytest.fixture
def cfg(composed: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """``cfg("vae", "task.flip=0.5", …)``: a training of a second. Choosing other data drops what was said of these."""

    def make(name: str, *words: str) -> DictConfig:
        chosen = {word.partition("=")[0] for word in words}
        kept = [word for word in [*TRAINING, *SIZES[name]] if word.partition("=")[0] not in chosen]
        if "data" in chosen:
            kept = [word for word in kept if not word.startswith("data.")]
        return composed("train", *kept, *words)

    return make


@pytest.fixture(params=list(KINDS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def curve(folder: Path, name: str) -> list[float]:
    rows = [line.split(",") for line in (folder / "log" / "metrics.csv").read_text().splitlines()[1:]]
    return [float(value) for _, found, value in rows if found == name]


def step(task: AutoencoderTask, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A step without Lightning around it."""
    task.manual_backward = lambda loss: loss.backward()
    logs = task.update(batch)
    task.done += 1
    return logs


def images(count: int = 4) -> dict[str, torch.Tensor]:
    return {"images": Cottages(count, resolution=16).read(range(count)).images}


def test_it_learns_and_what_it_exports_reconstructs_the_same(
    name: str, cfg: Callable[..., DictConfig], tmp_path: Path
) -> None:
    words = ["task.steps=40", "task.batch=16", "task.lr=0.01", "logger=csv", "task.log_every=8", "data.count=256"]
    result = fit(cfg(name, *words), tmp_path)
    losses = curve(tmp_path, "train/pixel")
    assert losses[-1] < 0.6 * losses[0]
    data, path = Cottages(4, "validation", 16), tmp_path / "weights.safetensors"
    generator = KINDS[name](checkpoint=str(path))
    assert generator.resolution == 16 and generator.trained
    kept = [value.dtype for key, value in torch.load(tmp_path / "checkpoint.pt")["parts"]["mean"].items()]
    assert torch.float16 not in kept and path.stat().st_size < 0.75 * sum(
        value.numel() * value.element_size() for value in generator.network.state_dict().values()
    )
    task = AutoencoderTask.compose(cfg(name, *words))
    task.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    shown, held_out = task.pictures(data), data.read(range(4)).images
    with torch.no_grad():
        made = generator.synthesize(generator.encode(held_out), generator.encoded)
    torch.testing.assert_close(shown[8:12], made)
    assert torch.equal(shown[:4], held_out) and len(shown) == 16 + 24 and shown[4:8].eq(1).all()
    assert len(task.pictures(None)) == 24
    psnr = 10 * (4 / (made.clamp(-1, 1) - held_out).square().mean(dim=(1, 2, 3))).log10().mean()
    assert result["scores"]["psnr"] == pytest.approx(psnr.item(), abs=1e-3) and result["scores"]["psnr"] > 12
    assert set(result["scores"]) == {"psnr", generator.penalty}
    card = json.loads((tmp_path / "weights.json").read_text())
    assert card["kind"] == "generator" and card["settings"] == {"resolution": 16} and card["images"] == 640


def test_a_vae_draws_samples_from_where_latents_lie(cfg: Callable[..., DictConfig], tmp_path: Path) -> None:
    words = ["task.steps=40", "task.batch=16", "task.lr=0.01", "data.count=400", "task.beta=0.001"]
    fit(cfg("vae", *words), tmp_path / "net")
    vae = VAE(checkpoint=str(tmp_path / "net/weights.safetensors"))
    density = vae.network.density
    assert density is not None and len(density.shares) == 8, "fifty images for each component"
    with torch.no_grad():
        mean, log_variance = vae.posterior(Cottages(400, resolution=16).read(range(400)).images)
    drawn = vae.sample(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(dim=0), mean.mean(dim=0), atol=0.15, rtol=0)
    among = torch.cov(mean.T) + log_variance.exp().mean(dim=0).diag()
    torch.testing.assert_close(torch.cov(drawn.T), among, atol=0.15, rtol=0.15)
    assert (torch.cov(drawn.T) - torch.eye(6)).abs().max() > 0.3, "which is not where the prior is"
    rng, again = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    assert torch.equal(vae.sample(5, rng), VAE(checkpoint=str(tmp_path / "net/weights.safetensors")).sample(5, again))
    middle, half = (vae.sample(5, torch.Generator().manual_seed(0), truncation) for truncation in (0.0, 0.5))
    assert middle.std(dim=0).max() < 1e-6
    torch.testing.assert_close(half, (middle + vae.sample(5, torch.Generator().manual_seed(0))) / 2)

    goes_on = [*words, "task.steps=41", "task.components=0", f"start={tmp_path / 'net/weights.safetensors'}"]
    fit(cfg("vae", *goes_on), tmp_path / "without")
    assert VAE(checkpoint=str(tmp_path / "without/weights.safetensors")).network.density is None
    broken = load_weights(tmp_path / "net/weights.safetensors") | {"density.means": torch.zeros(8, 5)}
    save_weights(tmp_path / "broken.safetensors", broken, {})
    with pytest.raises(ValueError, match=r"checkpoint: 'density.means' .*broken.safetensors"):
        VAE(checkpoint=str(tmp_path / "broken.safetensors"))


def test_a_run_projects_into_it_by_its_own_encoder(
    name: str, cfg: Callable[..., DictConfig], composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    fit(cfg(name), tmp_path / "net")
    words = [f"generator={name}", f"generator.checkpoint={tmp_path / 'net' / 'weights.safetensors'}", "encoder=own"]
    words += ["space=z" if name == "vae" else "space=quantised", "projector=[encoder]", "data.count=2", "loss=[pixel]"]
    words += ["data.resolution=16", "metric=[psnr]", "logger=none", "device=cpu", f"output={tmp_path}", "name=run"]
    folder = Path(run(composed("invert", *words))["folder"])
    assert pl.read_parquet(folder / "results.parquet").filter(pl.col("metric") == "psnr")["value"].is_finite().all()


def test_half_the_steps_and_the_other_half_are_all(
    name: str, tmp_path: Path, cfg: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["task.flip=0.5", "validation=null"]
    fit(cfg(name, *words), tmp_path / "whole")
    with monkeypatch.context() as patch:
        update = AutoencoderTask.update

        def dying(self: AutoencoderTask, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return update(self, batch) if self.done < 3 else 1 / 0

        patch.setattr(AutoencoderTask, "update", dying)
        with pytest.raises(ZeroDivisionError):
            fit(cfg(name, *words), tmp_path / "halves")
    assert torch.load(tmp_path / "halves" / "checkpoint.pt", weights_only=True)["done"] == 3
    fit(cfg(name, *words), tmp_path / "halves")
    whole, halves = (torch.load(tmp_path / n / "checkpoint.pt", weights_only=True) for n in ("whole", "halves"))
    for part in ("generator", "mean"):
        assert all(torch.equal(value, halves["parts"][part][key]) for key, value in whole["parts"][part].items())
    files = [(tmp_path / folder / "weights.safetensors").read_bytes() for folder in ("whole", "halves")]
    assert files[0] == files[1]


def test_a_training_goes_on_from_another_one(name: str, cfg: Callable[..., DictConfig], tmp_path: Path) -> None:
    fit(cfg(name, "task.steps=2"), tmp_path / "first")
    assert fit(cfg(name, "task.steps=4", f"start={tmp_path / 'first'}"), tmp_path / "longer")["steps"] == 4
    words = ["task.steps=1", "task.lr=1e-9", f"start={tmp_path / 'first' / 'weights.safetensors'}"]
    fit(cfg(name, *words), tmp_path / "tuned")
    (a, b) = (KINDS[name](checkpoint=str(tmp_path / run / "weights.safetensors")) for run in ("first", "tuned"))
    for (key, one), (_, other) in zip(a.named_parameters(), b.named_parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3, msg=key)


def test_a_folder_of_grey_photos(name: str, cfg: Callable[..., DictConfig], tmp_path: Path) -> None:
    for i in range(6):
        write_png(tmp_path / "photos" / f"{i}.png", torch.rand(3, 20 + i, 24) * 2 - 1)
    words = ["data=folder", f"data.path={tmp_path / 'photos'}", "generator.channels=1", "validation=null"]
    assert fit(cfg(name, *words, "task.steps=2"), tmp_path / "run")["steps"] == 2
    generator = KINDS[name](checkpoint=str(tmp_path / "run" / "weights.safetensors"))
    assert (generator.channels, generator.resolution) == (1, 16)


def test_the_divergence_is_that_of_the_latents_and_costs_more_and_more(cfg: Callable[..., DictConfig]) -> None:
    task = AutoencoderTask.compose(cfg("vae", "task.steps=20", "task.beta=0.5", "task.beta_warmup=0.2"))
    assert [task.penalty_weight(s) for s in (0, 1, 2, 4, 19)] == [0, 0.125, 0.25, 0.5, 0.5]
    batch = images()
    task.generator.eval()
    mean, log_variance = task.generator.posterior(batch["images"])
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    exact = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(dim=1) / (3 * 16**2)
    made, penalty = task.generator.training_pass(batch["images"], torch.Generator().manual_seed(0))
    torch.testing.assert_close(penalty, exact)
    other = task.generator.training_pass(batch["images"], torch.Generator().manual_seed(1))[0]
    assert made.shape == other.shape and not torch.equal(made, other)
    task.generator.train()
    assert step(task, batch)["train/kl"] == 0 and step(task, batch)["train/kl"] > 0
    spreads = []
    for beta in (0, 5):
        torch.manual_seed(0)
        task = AutoencoderTask.compose(cfg("vae", f"task.beta={beta}", "task.beta_warmup=0", "task.lr=0.01"))
        task.steps = 100
        for _ in range(40):
            step(task, images(16))
        spreads.append(task.evaluate(Cottages(16, resolution=16))["kl"])
    assert spreads[1] < 0.2 * spreads[0]


def test_losses_look_where_the_mask_says(cfg: Callable[..., DictConfig], tmp_path: Path) -> None:
    mask = -torch.ones(3, 16, 16)
    mask[:, :8] = 1
    write_png(tmp_path / "mask.png", mask)
    task = AutoencoderTask.compose(cfg("vae", f"data.mask={tmp_path / 'mask.png'}"))
    batch = images()
    seen = {"image": batch["images"], "mask": ((mask[:1] + 1) / 2).expand(4, 1, 16, 16)}
    other = {**seen, "image": batch["images"].clone()}
    other["image"][:, :, 8:] = 0
    losses = []
    for named in (seen, other):
        task.generator.training_pass = lambda image, rng: (torch.zeros_like(image), image.new_zeros(len(image)))
        losses.append(task.terms(named, torch.Generator())["pixel"].item())
    assert losses[0] == losses[1] > 0


def test_weights_beyond_half_precision_are_kept_as_they_are(cfg: Callable[..., DictConfig]) -> None:
    task = AutoencoderTask.compose(cfg("vae"))
    step(task, images())
    with torch.no_grad():
        task.mean.network.e1.weight.fill_(1e6)
    tensors, _ = task.export()
    assert tensors["e1.weight"].dtype == torch.float32 and tensors["e2.weight"].dtype == torch.float16
    for name, value in task.mean.network.named_buffers():
        assert torch.equal(tensors[name].to(value.dtype), value), name  # statistics are no weights that may be rounded
    assert tensors["bn1.running_mean"].dtype == torch.float32 and tensors["bn1.num_batches_tracked"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["loss=[pixel,perceptual]"]], ids=["pixel", "perceptual"])
def test_in_bfloat16_it_learns_as_well(
    words: list[str], name: str, cfg: Callable[..., DictConfig], tmp_path: Path
) -> None:
    scores = []
    for trainer in ("default", "bf16"):
        chosen = [f"trainer={trainer}", "trainer.accelerator=cpu", "task.steps=12", "task.batch=8", "task.lr=0.01"]
        scores.append(fit(cfg(name, *chosen, *words), tmp_path / trainer)["scores"]["psnr"])
    assert scores[1] == pytest.approx(scores[0], abs=1.0) and scores[1] != scores[0]


def test_rows_of_pictures() -> None:
    a, b = torch.zeros(10, 3, 2, 2), -torch.ones(10, 3, 2, 2)
    rows = in_rows(a, b)[:, 0, 0, 0].tolist()
    assert rows == [0] * 8 + [-1] * 8 + [0] * 2 + [1] * 6 + [-1] * 2 + [1] * 6


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["loss=[]"], "loss: the list is empty and nothing pulls x̂ towards x; choose e.g. loss=[pixel]"),
        (["data.resolution=32"], "data: its images are 3×32×32 and the generator makes 3×16×16; set"),
        (["data=samples", "validation=null"], "data: samples of the generator that is being trained teach it nothing"),
        (["loss.pixel.target=style"], "loss.pixel.target: the data have no 'style'"),
        (["task.beta=-1"], "task.beta: -1 is not possible"),
        (["task.commitment=-1"], "task.commitment: -1 is not possible"),
        (["task.beta_warmup=2"], "task.beta_warmup: 2 is not possible"),
        (["task.lr=0"], "task.lr: 0 is not possible"),
        (["task.flip=2"], "task.flip: 2 is not possible"),
        (["start=annotator64"], "start: "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes_are_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, cfg: Callable[..., DictConfig]
) -> None:
    with pytest.raises(ValueError) as error:
        fit(cfg("vae", *words), tmp_path)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    ("task", "generator", "sentence"),
    [
        ("autoencoder", "stylegan2", "trains a VAE or a VQVAE2, not a StyleGAN2; choose task=generator, or generator="),
        ("autoencoder", "glow", "trains a VAE or a VQVAE2, not a Glow; choose task=flow, or generator=vae or vqvae2"),
        ("autoencoder", "pixels", "trains a VAE or a VQVAE2, not a Pixels; choose generator=vae or vqvae2"),
        ("generator", "vae", "trains a GAN, not a VAE; choose task=autoencoder, or generator=stylegan2"),
        ("generator", "realnvp", "trains a GAN, not a RealNVP; choose task=flow, or generator=stylegan2"),
        ("flow", "vqvae2", "trains a flow, not a VQVAE2; choose task=autoencoder, or generator=glow or realnvp"),
    ],
)
def test_a_generator_of_another_task_is_told_its_own(
    task: str, generator: str, sentence: str, composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    words = [word for word in TRAINING if not word.startswith(("task=", "generator"))]
    with pytest.raises(ValueError, match=re.escape(f"generator: this task {sentence}")):
        fit(composed("train", f"task={task}", f"generator={generator}", *words), tmp_path)


def test_images_that_can_not_be_read_are_passed_over(cfg: Callable[..., DictConfig], monkeypatch: Any) -> None:
    task = AutoencoderTask.compose(cfg("vae"))
    data: AbstractData = Cottages(4, "validation", 16)
    whole = task.evaluate(data, size=2)
    assert task.evaluate(data, size=4) == pytest.approx(whole)
    read = data.read

    def broken(indices: Any) -> Any:
        batch = read(indices)
        return type(batch)([], batch.images[:0]) if 0 in indices else batch

    monkeypatch.setattr(data, "read", broken)
    assert task.evaluate(data, size=2).keys() == whole.keys()
