"""Training of encoders: it learns, goes on exactly, leaves the generator alone, and what it exports inverts."""

import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from zstar.data.base import AbstractData, Batch
from zstar.data.cottages import Cottages
from zstar.data.samples import Samples
from zstar.data.stream import Stream
from zstar.encoders.trained import TrainedEncoder, load_encoder
from zstar.images import write_png
from zstar.losses.base import AbstractLoss
from zstar.operators.grey import Grey
from zstar.tasks.encoder import EncoderTask
from zstar.tasks.fit import fit
from zstar.tasks.reconstruction import measure, reconstruct

CHECKPOINT = Path(tempfile.mkdtemp(prefix="zstar-")) / "tiny.safetensors"
ENCODER = [
    "task=encoder", "logger=none", "trainer.accelerator=cpu", "generator=stylegan2",
    f"generator.checkpoint={CHECKPOINT}", "data.resolution=16", "data.count=64", "loss=[pixel]", "metric=[mse]",
    "space=w", "space.prior_samples=100", "encoder=resnet", "encoder.width=8", "encoder.width_max=16",
    "encoder.blocks=1", "encoder.hidden=16", "validation.count=8", "task.steps=20", "task.batch=4", "task.log_every=5",
    "task.samples=0",
    "callbacks.samples_every=0", "callbacks.scores_every=0", "callbacks.snapshot_every=0",
]  # fmt: skip
PSP = ["space=w_plus", "encoder=psp", "encoder.pyramid=8", "encoder.width=8", "encoder.width_max=16"]
WIDENED = ["encoder.around=first", "task.widen_after=2", "task.widen_every=1", "regularizer=[delta_norm]"]
RESTYLE = ["space=w_plus", "encoder=restyle", "encoder.passes=2", *(f"encoder.{word}" for word in PSP[2:])]


@pytest.fixture(scope="module", autouse=True)
def tiny_checkpoint(store_generator: Callable[..., None]) -> Iterator[None]:
    """The fixed generator, in a file: there is nothing to invert in an untrained one."""
    store_generator(CHECKPOINT)
    yield
    shutil.rmtree(CHECKPOINT.parent)


@pytest.fixture
def cfg(composed: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """``cfg("task.flip=0.5", …)``: a training of a second. Choosing another encoder drops what was said of this one."""

    def make(*words: str) -> DictConfig:
        chosen = {word.partition("=")[0].strip("~") for word in words}
        groups = chosen & {"encoder", "data", "generator", "validation"}
        kept = [word for word in ENCODER if word.split(".")[0] not in groups]
        return composed("train", *(w for w in kept if w.partition("=")[0] not in chosen), *words)

    return make


def train(task: EncoderTask, data: AbstractData, steps: int) -> None:
    """Steps without anything around them."""
    silent = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(accelerator="cpu", max_epochs=1, limit_val_batches=0, **silent)
    trainer.fit(task, DataLoader(Stream(data, task.batch, task.done, task.done + steps), batch_size=None))


def curve(folder: Path, name: str) -> list[float]:
    rows = [line.split(",") for line in (folder / "log" / "metrics.csv").read_text().splitlines()[1:]]
    return [float(value) for _, found, value in rows if found == name]


def equal(a: Any, b: Any) -> bool:
    """Whether two states are the same to the last bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["task.samples=0.25", "task.flip=0.5", "task.steps=8"],
        [*RESTYLE, "task.samples=0.5", "task.flip=0.5", "task.steps=8"],
        [*PSP, *WIDENED, "task.steps=8"],
        ["data=samples", "data.count=64", "task.steps=8"],
    ],
    ids=["mixture", "restyle", "widening", "samples"],
)
def test_half_the_steps_and_the_other_half_are_all(
    words: list[str], tmp_path: Path, cfg: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*words, "callbacks.checkpoint_minutes=0", "validation=null"]
    fit(cfg(*words), tmp_path / "whole")
    with monkeypatch.context() as patch:
        update = EncoderTask.update

        def dying(self: EncoderTask, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            if self.done == self.steps // 2:
                raise RuntimeError("killed")
            return update(self, batch)

        patch.setattr(EncoderTask, "update", dying)
        with pytest.raises(RuntimeError, match="killed"):
            fit(cfg(*words), tmp_path / "halves")
    assert torch.load(tmp_path / "halves" / "checkpoint.pt", weights_only=True)["done"] == 4
    fit(cfg(*words), tmp_path / "halves")
    whole, halves = (torch.load(tmp_path / n / "checkpoint.pt", weights_only=True) for n in ("whole", "halves"))
    assert whole["done"] == 8 and equal(whole["parts"], halves["parts"])
    files = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "halves")]
    assert files[0] == files[1]


def test_a_checkpoint_holds_the_encoder_and_nothing_fixed(tmp_path: Path, cfg: Callable[..., DictConfig]) -> None:
    fit(cfg("loss=[pixel,perceptual]", "task.steps=2"), tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert set(state) == {"done", "parts", "sums", "seconds", "key", "config", "versions", "failed"}
    assert set(state["parts"]) == {"encoder", "mean", "adam"}
    names = set(state["parts"]["encoder"])
    assert names == set(state["parts"]["mean"]) and all(
        n.startswith(("trunk.", "read.", "mean", "spread")) for n in names
    )
    numbers = sum(value.numel() for value in state["parts"]["encoder"].values())
    assert (tmp_path / "checkpoint.pt").stat().st_size < 4 * 4 * numbers + 100_000  # weights, their mean, two moments
    assert state["config"]["task"]["steps"] == 2 and "discriminator" not in state["config"]
    assert {"torch", "zstar", "python"} <= set(state["versions"])


def test_the_generator_and_the_networks_of_losses_stay_as_they_are(cfg: Callable[..., DictConfig]) -> None:
    task = EncoderTask.compose(cfg(*RESTYLE, "loss=[pixel,perceptual]", "task.samples=0.5"))
    generator, judge = task.space.generator, task.losses["perceptual"]
    before = generator.fingerprint(), [value.clone() for value in judge.state_dict().values()]
    train(task.train(), Cottages(16, resolution=16), 3)
    assert task.done == 3 and not generator.training and not judge.maps.network.training
    assert generator.fingerprint() == before[0]
    assert all(map(torch.equal, judge.state_dict().values(), before[1]))
    assert all(weight.grad is None for module in (generator, judge, task.mean) for weight in module.parameters())
    assert not any("generator" in name or "perceptual" in name for name in task.state_dict())


def test_it_learns(tmp_path: Path, cfg: Callable[..., DictConfig]) -> None:
    words = ["task.steps=40", "task.batch=16", "task.lr=0.01", "logger=csv", "task.log_every=8", "task.ema_images=50"]
    result = fit(cfg(*words, "data.count=256"), tmp_path)
    losses = curve(tmp_path, "train/pixel")
    assert losses[-1] < 0.9 * losses[0]
    task = EncoderTask.compose(cfg())  # an untrained one gives the mean of the prior
    assert result["scores"]["mse"] < task.evaluate(Cottages(8, "validation", 16))["mse"]
    assert set(result["scores"]) == {"mse", "samples/mse", "samples/latent_distance"}


def test_known_latents_pull_and_their_distance_is_in_units_of_the_spread(
    tmp_path: Path, cfg: Callable[..., DictConfig]
) -> None:
    words = ["task.latent_weight=1", "task.steps=24", "task.log_every=1", "logger=csv", "task.batch=48", "task.lr=0.01"]
    fit(cfg(*words, "task.samples=1", "space.prior_samples=2000"), tmp_path / "drawn")
    distances = curve(tmp_path / "drawn", "train/latent")
    assert distances[0] == pytest.approx(1, abs=0.4)  # from the mean, where an untrained encoder is
    assert sum(distances[-5:]) < 0.8 * sum(distances[:5])
    fit(cfg("logger=csv", "task.steps=5"), tmp_path / "photos")
    assert not curve(tmp_path / "photos", "train/latent")


def test_samples_as_data_and_a_share_of_samples_know_their_latents(cfg: Callable[..., DictConfig]) -> None:
    task = EncoderTask.compose(cfg("task.samples=0.5", "task.batch=4"))
    task.space.generator.requires_grad_(False)
    batch = Samples(task.space.generator, 8, space="w").read(range(4))
    for given in ({"images": batch.images}, {"images": batch.images, "latent": batch.extras["latent"]}):
        mixed = task.mix(given, 0, task.rows)
        assert mixed.known.tolist() == [1, 1, *[float("latent" in given)] * 2]
        made = task.space.decode(mixed.latents)
        torch.testing.assert_close(made[mixed.known > 0], mixed.images[mixed.known > 0], atol=1e-5, rtol=1e-5)
        assert torch.equal(mixed.images[2:], batch.images[2:]) and not torch.equal(mixed.images[:2], batch.images[:2])
        assert torch.equal(mixed.real, batch.images)


def test_samples_as_data_are_drawn_where_the_encoder_works(tmp_path: Path, cfg: Callable[..., DictConfig]) -> None:
    words = [*PSP, "data=samples", "data.count=32", "logger=csv", "task.steps=2", "task.log_every=1", "validation=null"]
    fit(cfg(*words, "task.samples=0.25"), tmp_path / "rows")  # latents of z would not even have rows
    assert curve(tmp_path / "rows", "train/latent")[0] > 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["regularizer=[in_domain]"], "regularizer: in_domain needs an encoder that is trained already"),
        (["regularizer=[noise_maps]"], "regularizer: noise_maps penalises noise maps and an encoder gives none"),
        (["data=samples", "data.count=16", "task.flip=0.5", "validation=null"], "task.flip: 0.5 mirrors images, but"),
        (["trainer.precision=16-mixed"], "trainer.precision: 16-mixed scales gradients"),
    ],
)
def test_what_a_training_can_not_do(
    words: list[str], sentence: str, tmp_path: Path, cfg: Callable[..., DictConfig]
) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        fit(cfg(*words), tmp_path)


class Mirrored(AbstractData):
    """Cottages seen in a mirror."""

    def __init__(self, data: AbstractData) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def read(self, indices: Sequence[int]) -> Batch:
        read = self.data.read(indices)
        return Batch(read.ids, read.images.flip(3))

    def fingerprint(self) -> str:
        return "mirrored"

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        return self, None


def test_mirrored_images_are_what_they_are_called(cfg: Callable[..., DictConfig]) -> None:
    weights = []
    for data, flip in ((Mirrored(Cottages(16, resolution=16)), 0), (Cottages(16, resolution=16), 1)):
        torch.manual_seed(0)
        task = EncoderTask.compose(cfg(f"task.flip={flip}"))
        train(task, data, 2)
        weights.append(task.encoder.state_dict())
    assert equal(*weights)


def test_rows_open_one_by_one(cfg: Callable[..., DictConfig]) -> None:
    task = EncoderTask.compose(cfg(*PSP, "task.widen_after=2", "task.widen_every=2", "task.lr=0.1", "task.warmup=0"))
    images = Cottages(2, resolution=16).read(range(2)).images
    rows = task.space.shape[0]
    for opened in (1, 1, 2, 2, 3, 3, 4):
        before = [head[-1].weight.clone() for head in task.encoder.heads]
        train(task, Cottages(16, resolution=16), 1)
        moved = [not torch.equal(old, head[-1].weight) for old, head in zip(before, task.encoder.heads, strict=True)]
        assert moved == [True] * opened + [False] * (rows - opened)
    task.done = 2
    latent, made = reconstruct(task.trained_encoder(), task.space, images)
    assert torch.equal(latent[:, 2:], latent[:, :1].expand(-1, rows - 2, -1))
    assert not torch.equal(latent[:, 1], latent[:, 0])
    torch.testing.assert_close(made, task.space.decode(latent))


def test_rate_rises_stays_and_falls(cfg: Callable[..., DictConfig]) -> None:
    task = EncoderTask.compose(cfg("task.steps=100", "task.warmup=0.1", "task.decay=0.4", "task.lr=0.5"))
    rates = [task.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.05) and rates[4] == pytest.approx(0.25)
    assert all(rate == pytest.approx(0.5) for rate in rates[9:61]) and rates[80] == pytest.approx(0.25)
    assert rates[61:] == sorted(rates[61:], reverse=True) and 0 < rates[99] < 0.001
    flat = EncoderTask.compose(cfg("task.warmup=0", "task.decay=0", "task.lr=0.5"))
    assert {flat.rate(step) for step in range(20)} == {0.5}


@pytest.mark.parametrize("words", [[], RESTYLE], ids=["resnet", "restyle"])
def test_what_is_exported_finds_the_same_latents(
    words: list[str], tmp_path: Path, cfg: Callable[..., DictConfig]
) -> None:
    result = fit(cfg(*words, "task.lr=0.01", "task.ema_images=1", "task.steps=10"), tmp_path)
    card = json.loads((tmp_path / "weights.json").read_text())
    assert card == json.loads(json.dumps(result["card"]))
    assert card["kind"] == "encoder" and card["steps"] == 10 and card["images"] == 40
    assert card["scores"] == result["scores"] and 0 <= card["waiting"] <= 1 and card["config"]["task"]["batch"] == 4
    task = EncoderTask.compose(cfg(*words))
    task.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    images = Cottages(5, resolution=16).read(range(5)).images
    latent, made = reconstruct(task.trained_encoder(), task.space, images)
    encoder = load_encoder(tmp_path / "weights.safetensors", space=task.space)
    assert encoder.generator == task.space.generator.fingerprint() and encoder.space == task.space.name
    found = encoder(task.space, images)
    assert len(found) == task.encoder.passes
    assert (latent - task.space.mean).abs().max() > 1e-2
    torch.testing.assert_close(found[-1], latent, atol=1e-5, rtol=1e-5)  # weights are rounded, and these are scored
    torch.testing.assert_close(task.space.decode(found[-1]), made, atol=1e-5, rtol=1e-5)
    scores = measure(Cottages(8, "validation", 16), encoder, task.space, task.metrics, task.degradation)
    assert result["scores"]["mse"] == pytest.approx(scores["mse"], rel=1e-6)
    raw = TrainedEncoder(task.mean, task.space.name)
    assert scores != measure(Cottages(8, "validation", 16), raw, task.space, task.metrics, task.degradation)


class Wanted(AbstractLoss):
    """A pixel loss that keeps what it is asked to compare."""

    def features(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [image]

    def compare(
        self, features: list[torch.Tensor], target: list[torch.Tensor], weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        self.pair = features[0].detach(), target[0]
        return (features[0] - target[0]).square().mean(dim=(1, 2, 3))


@pytest.mark.parametrize("compare", ["clean", "observed"])
def test_a_network_that_restores_sees_the_observation_alone(compare: str, cfg: Callable[..., DictConfig]) -> None:
    words = ["operator=[noise,downscale]", "operator.downscale.factor=2", f"task.compare={compare}"]
    task = EncoderTask.compose(cfg(*words))
    shown: list[torch.Tensor] = []
    task.encoder.register_forward_pre_hook(lambda _module, given: shown.append(given[0]))
    task.losses["pixel"] = loss = Wanted()
    data = Cottages(4, resolution=16)
    images = data.read(range(4)).images
    train(task, data, 2)
    pairs = [(seen, loss.pair) for seen in shown]
    clean = sorted(images.mean(dim=(1, 2, 3)).tolist())
    assert not torch.equal(shown[0], shown[1]) and shown[0].shape == images.shape  # each step has noise of its own
    for seen in shown:
        assert all(not torch.equal(one, other) for one in seen for other in images)
    made, wanted = pairs[-1][1]
    if compare == "clean":
        assert sorted(wanted.mean(dim=(1, 2, 3)).tolist()) == clean and made.shape == images.shape
    else:
        assert made.shape == wanted.shape == (4, 3, 8, 8)
        back = torch.nn.functional.interpolate(wanted, size=16, mode="bicubic").clamp(-1, 1)
        torch.testing.assert_close(back, shown[-1])  # the losses see the noise that the network sees


def test_scores_and_pictures_of_a_network_that_restores_are_of_observations(cfg: Callable[..., DictConfig]) -> None:
    data = Cottages(8, "validation", 16)
    plain, masked = (EncoderTask.compose(cfg(*words)) for words in ([], ["operator=[grey]"]))
    for task in (plain, masked):  # a network that has learned nothing gives every image the mean
        rng = torch.Generator().manual_seed(0)
        for weight in task.mean.parameters():
            torch.nn.init.normal_(weight, std=0.2, generator=rng)
    scores = [task.evaluate(data)["mse"] for task in (plain, masked)]
    assert scores[0] != scores[1]
    rows = masked.pictures(data)
    assert len(plain.pictures(data)) == 16 and len(rows) == 24
    images = data.read(range(8)).images
    assert torch.equal(rows[:8], images) and torch.equal(rows[8:16], Grey()(images, {}))
    with pytest.raises(ValueError, match="operator.downscale.factor: 17 leaves less than a pixel of 16 × 16 images"):
        EncoderTask.compose(cfg("operator=[downscale]", "operator.downscale.factor=17"))


def test_weights_beyond_half_precision_are_exported_as_they_are(cfg: Callable[..., DictConfig]) -> None:
    task = EncoderTask.compose(cfg())
    name, weight = next(iter(task.mean.named_parameters()))
    with torch.no_grad():
        weight.fill_(1e6)
    exported = task.export()[0]
    assert exported[name].equal(weight) and torch.float16 in {value.dtype for value in exported.values()}


def test_statistics_are_exported_as_they_are(cfg: Callable[..., DictConfig]) -> None:
    task = EncoderTask.compose(cfg("encoder=igan", "encoder.width=4", "encoder.width_max=8"))
    train(task, Cottages(16, resolution=16), 2)
    exported, trained = task.export()[0], task.mean.state_dict()
    statistics = [name for name, _ in task.mean.named_buffers()]
    assert sum("running" in name for name in statistics) > 2 and exported.keys() == trained.keys()
    assert all(torch.equal(exported[name], trained[name]) for name in statistics)
    assert {exported[name].dtype for name, _ in task.mean.named_parameters()} == {torch.float16}


def test_scores_are_of_samples_that_no_training_sees(cfg: Callable[..., DictConfig]) -> None:
    task, drawn = EncoderTask.compose(cfg()), []
    read = Samples.read

    def noted(self: Samples, indices: Sequence[int]) -> Batch:
        drawn.append(found := read(self, indices))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Samples, "read", noted)
        task.evaluate(Cottages(8, "validation", 16))
    scored = drawn[0].extras["latent"]
    for seed in range(4):
        data, held_out = Samples(task.space.generator, 8, seed, space="w").split(8)
        for name, other in (("trained on", data), ("next", Samples(task.space.generator, 8, seed + 1, space="w"))):
            seen = other.read(range(8)).extras["latent"]
            assert not torch.isclose(seen, scored).all(dim=1).any(), name
            assert not torch.isclose(seen, held_out.read(range(8)).extras["latent"]).all(dim=1).any(), name


def test_pictures_are_rows_of_images_with_what_is_made_of_them_below(
    tmp_path: Path, cfg: Callable[..., DictConfig]
) -> None:
    task = EncoderTask.compose(cfg())
    data = Cottages(20, resolution=16)
    images = task.pictures(data)
    assert images.shape == (32, 3, 16, 16) and torch.equal(images[:8], data.read(range(8)).images)
    assert torch.equal(images[16:24], data.read(range(8, 16)).images)
    torch.testing.assert_close(
        images[24:], reconstruct(task.trained_encoder(), task.space, data.read(range(8, 16)).images)[1]
    )
    assert task.pictures(None) is None
    assert len(task.pictures(Cottages(3, resolution=16))) == 6
    fit(cfg("task.steps=2", "callbacks.samples_every=1", "callbacks.scores_every=1", "logger=csv"), tmp_path)
    assert len(list((tmp_path / "samples").glob("*.png"))) == 2
    assert len(curve(tmp_path, "validation/mse")) == 2


def test_a_folder_of_photos_and_what_is_left_out_of_it(
    tmp_path: Path, cfg: Callable[..., DictConfig], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(12):
        write_png(tmp_path / "photos" / f"{i}.png", torch.rand(3, 20 + i, 24) * 2 - 1)
    for i in range(12):
        (tmp_path / "photos" / f"broken{i}.png").write_bytes(b"\x89PNG")
    photos = ["data=folder", f"data.path={tmp_path / 'photos'}", "task.flip=0.5", "task.steps=3", "task.batch=8"]
    words = [*photos, "validation=null", "callbacks.checkpoint_minutes=0"]
    result = fit(cfg(*words), tmp_path / "run")
    said = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("training")]
    assert result["steps"] == 3 and set(result["failed"]) == {f"broken{i}.png" for i in range(12)}
    assert json.loads((tmp_path / "run" / "result.json").read_text())["failed"] == result["failed"]
    assert said.pop().startswith(f"folder: {tmp_path / 'run'}, with ")
    assert said.pop() == f"weights: {tmp_path / 'run'}/weights.safetensors"
    assert len(said) == 11 and all(line.startswith("left out: broken") for line in said[:10])
    assert said[10] == f"left out: 2 more; {tmp_path / 'run'}/result.json names them"
    update = EncoderTask.update
    with monkeypatch.context() as patch:  # a kill makes nothing forgotten
        patch.setattr(EncoderTask, "update", lambda self, batch: update(self, batch) if self.done < 2 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(cfg(*words), tmp_path / "halves")
    assert fit(cfg(*words), tmp_path / "halves")["failed"] == result["failed"]


class Slow(Mirrored):
    """A disk that is slower than the training."""

    def read(self, indices: Sequence[int]) -> Batch:
        time.sleep(0.4)
        return super().read(indices)


def test_waiting_is_measured(tmp_path: Path, cfg: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    quick = fit(cfg("task.steps=8"), tmp_path / "quick")["waiting"]
    monkeypatch.setattr(Cottages, "split", lambda self, count: (Slow(self), None))
    slow = fit(cfg("task.steps=4"), tmp_path / "slow")["waiting"]
    assert 0 <= quick < slow and 0.3 < slow <= 1


def test_a_training_prints_its_progress_and_where_its_weights_are(
    tmp_path: Path, cfg: Callable[..., DictConfig], capfd: pytest.CaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    fit(cfg(), tmp_path)
    out, err = capfd.readouterr()
    *progress, weights, folder = out.splitlines()
    assert weights.startswith(f"weights: {tmp_path}/weights.safetensors (mse ")
    assert folder.startswith(f"folder: {tmp_path}, with result.json") and not err.strip()
    assert "20 of 20 steps" in progress[-1] and "steps/s" in progress[-1] and "left" in progress[-1]
    assert not [str(w.message) for w in recwarn if "eval mode" in str(w.message) or "LeafSpec" in str(w.message)]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["loss=[]"], "loss: the list is empty and nothing pulls G(E(x)) towards x; choose e.g. loss=[pixel]"),
        (["generator.checkpoint=null"], "generator.checkpoint: without one the weights are random"),
        (["generator.checkpoint=nowhere.pt"], "checkpoint: no file and no shipped weights are called 'nowhere.pt'"),
        (["encoder=shipped"], "encoder: this one is finished and there is nothing to train; choose one that can be"),
        (["encoder=trained", "encoder.checkpoint=w.safetensors"], "encoder: "),
        (
            ["data.resolution=32"],
            "data: its images are 3×32×32 and the generator makes 3×16×16; set data.resolution=16",
        ),
        (
            [*PSP, "task.widen_after=2", "task.widen_every=5"],
            "task.widen_after: 2 and task.widen_every=5 open the last of 6 rows after 22 steps, and task.steps=20 end",
        ),
        (["task.widen_after=5"], "task.widen_after: w has no rows to open; set space=w_plus or remove it"),
        (["task.samples=1.5"], "task.samples: 1.5 is not possible"),
        (["task.flip=2"], "task.flip: 2 is not possible"),
        (["task.clip=0"], "task.clip: 0 is not possible"),
        (["task.lr=0"], "task.lr: 0 is not possible"),
        (["task.latent_weight=-1"], "task.latent_weight: -1 is not possible"),
        (["task.warmup=2"], "task.warmup: 2 is not possible"),
        (["space=pixels"], "space: StyleGAN2 has no space 'pixels'"),
        (["~encoder"], "encoder: nothing is chosen and this task needs it"),
        (["task.batch=65"], "task.batch: 65 is more than the 64 images there are"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes_are_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, cfg: Callable[..., DictConfig]
) -> None:
    with pytest.raises(ValueError) as error:
        fit(cfg(*words), tmp_path)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_folder_of_the_wrong_size_or_colour_is_named(tmp_path: Path, cfg: Callable[..., DictConfig]) -> None:
    for i in range(8):
        write_png(tmp_path / "photos" / f"{i}.png", torch.rand(3, 24, 24) * 2 - 1)
    photos = ["data=folder", f"data.path={tmp_path / 'photos'}"]
    for word, fix in (("data.resolution=24", "set data.resolution=16"), ("data.channels=1", "set data.channels=3")):
        with pytest.raises(ValueError, match=fix):
            fit(cfg(*photos, word), tmp_path / "run")
