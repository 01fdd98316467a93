"""Trainings: they learn, go on exactly where they stopped, and keep only what they trained."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from zstar.annotators.load import load_annotator
from zstar.checkpoints.io import load_weights
from zstar.data.cottages import Cottages
from zstar.data.stream import Stream
from zstar.discriminators.stylegan2 import StyleGAN2 as Discriminator
from zstar.generators.base import AbstractGenerator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import write_png
from zstar.regularizers.realism import Realism
from zstar.spaces.z import Z
from zstar.stats.streams import stream
from zstar.tasks.callbacks import Checkpoints
from zstar.tasks.fit import fit
from zstar.tasks.generator import GeneratorTask
from zstar.tasks.sampling import path_lengths
from zstar.tasks.score import score

TINY = [
    "logger=none", "trainer.accelerator=cpu", "data.resolution=16", "data.count=64", "callbacks.checkpoint_minutes=0",
    "callbacks.samples_every=0", "callbacks.scores_every=0", "callbacks.snapshot_every=0",
]  # fmt: skip
GENERATOR = [
    *TINY, "task=generator", "task.steps=6", "task.batch=4", "task.path_weight=1.0", "task.path_every=2",
    "task.style_mixing=0.5", "validation=null", "generator.resolution=16", "generator.z_dim=8", "generator.w_dim=8",
    "generator.channel_max=8", "discriminator=stylegan2", "discriminator.channel_max=8",
    "discriminator.r1_every=2",
]  # fmt: skip
ANNOTATOR = [
    *TINY, "task=annotator", "task.steps=30", "task.batch=8", "task.log_every=10", "validation.count=8",
    "annotator.widths=[8,8,16]",
]  # fmt: skip


@pytest.fixture
def generator(composed: Callable[..., DictConfig]) -> DictConfig:
    """A training of seconds with everything that has a schedule: R1, path length, mixing, decay."""
    return composed("train", *GENERATOR)


def interrupted(monkeypatch: pytest.MonkeyPatch, kind: type, step: int) -> None:
    """Let the training of ``kind`` die at the beginning of a step."""
    update = kind.update

    def dying(self: GeneratorTask, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.done == step:
            raise RuntimeError("killed")
        return update(self, batch)

    monkeypatch.setattr(kind, "update", dying)


def test_generator_resumes_exactly(tmp_path: Path, generator: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(generator, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupted(patch, GeneratorTask, 3)
        with pytest.raises(RuntimeError, match="killed"):
            fit(generator, tmp_path / "halves")
    assert (tmp_path / "halves" / "failed.txt").is_file()
    result = fit(generator, tmp_path / "halves")
    whole, halves = (load_weights(tmp_path / name / "weights.safetensors") for name in ("whole", "halves"))
    assert result["steps"] == 6
    assert all(torch.equal(whole[name], halves[name]) for name in whole)
    states = [torch.load(tmp_path / n / "checkpoint.pt", weights_only=True) for n in ("whole", "halves")]
    same = [torch.equal(a, b) for a, b in zip(*(s["parts"]["discriminator"].values() for s in states), strict=True)]
    assert all(same) and torch.equal(states[0]["path_mean"], states[1]["path_mean"])


def test_another_seed_gives_another_network(tmp_path: Path, composed: Callable[..., DictConfig]) -> None:
    for seed in (0, 1):
        fit(composed("train", *GENERATOR, "task.steps=1", f"seed={seed}"), tmp_path / str(seed))
    a, b = (load_weights(tmp_path / str(seed) / "weights.safetensors") for seed in (0, 1))
    assert not torch.equal(a["synthesis.b4.const"], b["synthesis.b4.const"])


@pytest.mark.slow
def test_the_log_of_a_killed_training_is_that_of_a_whole_one(
    tmp_path: Path, composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = [word for word in GENERATOR if not word.startswith(("logger=", "callbacks.samples_every"))]
    words += ["logger=csv", "task.log_every=4", "task.steps=8", "callbacks.samples_every=250"]
    fit(composed("train", *words), tmp_path / "whole")
    assert f"weights: {tmp_path / 'whole'}/weights.safetensors" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "whole" / "samples").iterdir()] == ["0000008.png"]
    with monkeypatch.context() as patch:
        interrupted(patch, GeneratorTask, 6)
        # As by a kill that comes after two more steps than the last checkpoint has.
        patch.setattr("zstar.tasks.callbacks.Checkpoints.save", saved_until(3))
        with pytest.raises(RuntimeError, match="killed"):
            fit(composed("train", *words), tmp_path / "killed")
    fit(composed("train", *words), tmp_path / "killed")
    one, other = ((tmp_path / name / "log" / "metrics.csv").read_text() for name in ("whole", "killed"))
    assert one == other and one.count("\n") > 4


def saved_until(step: int) -> Callable[..., None]:
    """A way to save checkpoints that does nothing after some step."""
    save = Checkpoints.save
    return lambda self, task: save(self, task) if task.done <= step else None


def test_finished_and_foreign_folders(
    tmp_path: Path, composed: Callable[..., DictConfig], capsys: pytest.CaptureFixture
) -> None:
    cfg = composed("train", *GENERATOR, "task.steps=1")
    folder = tmp_path / "one"
    first = fit(cfg, folder)
    written = (folder / "checkpoint.pt").stat().st_mtime_ns
    again = fit(cfg, folder)
    assert again.pop("files") == {"weights.safetensors": (folder / "weights.safetensors").stat().st_size}
    assert again == json.loads(json.dumps(first)) | {"status": "finished", "skipped": True}
    for words, change in (
        (["task.steps=2"], "task.steps: 1 → 2"),
        (["task.steps=1", "trainer=bf16"], "precision: 32-true → bf16-mixed"),  # which computes something else
    ):
        capsys.readouterr()
        other = fit(composed("train", *GENERATOR, *words), folder)
        assert not other["skipped"] and Path(other["folder"]).parent == tmp_path and other["folder"] != str(folder)
        assert change in capsys.readouterr().out
    assert (folder / "checkpoint.pt").stat().st_mtime_ns == written


def test_exported_generator_is_the_mean_and_loads(tmp_path: Path, generator: DictConfig) -> None:
    fit(generator, tmp_path)
    made = StyleGAN2(checkpoint=str(tmp_path / "weights.safetensors"))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert torch.equal(made.synthesis.b4.const, state["parts"]["mean"]["synthesis.b4.const"])
    assert not torch.equal(made.synthesis.b4.const, state["parts"]["generator"]["synthesis.b4.const"])
    card = json.loads((tmp_path / "weights.json").read_text())
    assert card["steps"] == 6 and card["images"] == 24 and card["config"]["task"]["batch"] == 4
    assert "annotator" not in card["config"]


def test_the_discriminator_is_left_for_the_regularizer_realism(tmp_path: Path, generator: DictConfig) -> None:
    fit(generator, tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["parts"]["discriminator"]
    network = Discriminator(resolution=16, channel_max=8)
    space = Z(StyleGAN2(checkpoint=str(tmp_path / "weights.safetensors")))
    realism = Realism(space, network, str(tmp_path / "discriminator.safetensors"))
    assert torch.equal(network.logit.weight, state["logit.weight"])
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(realism({}, images), torch.nn.functional.softplus(-network(images)[0])[:, 0])


def test_a_folder_of_photos_trains_a_generator(tmp_path: Path, composed: Callable[..., DictConfig]) -> None:
    for i in range(5):
        image = torch.rand(3, 20 + i, 24, generator=torch.Generator().manual_seed(i)) * 2 - 1
        write_png(tmp_path / "photos" / f"{i}.png", image)
    overrides = [o for o in GENERATOR if not o.startswith("data.")]
    photos = ["data=folder", f"data.path={tmp_path / 'photos'}", "task.steps=2"]
    assert fit(composed("train", *overrides, *photos), tmp_path / "run")["steps"] == 2


def test_mistakes_are_one_sentence(tmp_path: Path, composed: Callable[..., DictConfig]) -> None:
    with pytest.raises(ValueError, match="set data.resolution=16"):
        fit(composed("train", *GENERATOR, "data.resolution=32"), tmp_path / "size")
    photos = ["data=folder", f"data.path={tmp_path / 'photos'}", "data.resolution=16"]
    write_png(tmp_path / "photos" / "one.png", torch.zeros(3, 16, 16))
    overrides = [o for o in ANNOTATOR if not o.startswith("data.")]
    with pytest.raises(ValueError, match="no masks"):
        fit(composed("train", *overrides, *photos, "task.batch=1"), tmp_path / "masks")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["generator=pixels"], "generator: this task trains a GAN, not a Pixels; choose generator=stylegan2"),
        (["data=samples"], "data: samples of the generator that is being trained teach it nothing"),
        (["~discriminator"], "discriminator: nothing is chosen and this task needs it"),
        (["task.steps=0"], "task.steps: 0 is not possible; set it to 1 or more"),
        (["task.batch=0"], "task.batch: 0 is not possible; set it to 1 or more"),
        (["task.log_every=0"], "task.log_every: 0 is not possible; set it to 1 or more"),
        (["task.lr=0"], "task.lr: 0 is not possible; set it to a number above 0"),
        (["task.ema_images=-1"], "task.ema_images: -1 is not possible; set it to a number above 0"),
        (["task.path_every=0"], "task.path_every: 0 is not possible; set it to 1 or more"),
        (["task.style_mixing=2"], "task.style_mixing: 2 is not possible; set it to 0 to 1"),
        (["discriminator.r1_every=0"], "discriminator.r1_every: 0 is not possible; set it to 1 or more"),
        (["discriminator.group=0"], "discriminator.group: 0 is not possible; set it to 1 or more"),
        (["discriminator.channel_base=8"], "discriminator.channel_base: 8 is not possible; set it to 16 or more"),
    ],
)
def test_settings_that_make_no_sense(
    tmp_path: Path, composed: Callable[..., DictConfig], words: list[str], sentence: str
) -> None:
    kept = [o for o in GENERATOR if not any(o.startswith(f"{w.split('=')[0].strip('~')}.") for w in words)]
    with pytest.raises(ValueError) as error:
        fit(composed("train", *kept, *words), tmp_path)
    assert str(error.value).startswith(sentence)


def test_maps_of_the_projected_discriminator_fit_its_annotator(
    tmp_path: Path, composed: Callable[..., DictConfig]
) -> None:
    kept = [o for o in GENERATOR if not o.startswith("discriminator")]
    with pytest.raises(
        ValueError, match=r"^discriminator\.mixed: \[8, 8\] has 2 entries and the annotator's features 4"
    ):
        fit(composed("train", *kept, "discriminator=projected", "discriminator.mixed=[8,8]"), tmp_path)


def test_damaged_and_foreign_checkpoints_are_named(tmp_path: Path, composed: Callable[..., DictConfig]) -> None:
    cfg, path = composed("train", *GENERATOR, "task.steps=1"), tmp_path / "checkpoint.pt"
    fit(cfg, tmp_path)
    (tmp_path / "result.json").unlink()
    good, state = path.read_bytes(), torch.load(path, weights_only=True)
    sentence = (
        r"^output: .*checkpoint\.pt is no checkpoint of this training \(.*\); delete it or choose another output$"
    )
    for damage in (good[: len(good) // 2], b"", b"text"):
        path.write_bytes(damage)
        with pytest.raises(ValueError, match=sentence):
            fit(cfg, tmp_path)
    for foreign in ({}, [1], torch.zeros(1), {**state, "parts": {}}, {"key": state["key"]}):
        torch.save(foreign, path)
        with pytest.raises(ValueError, match=sentence):
            fit(cfg, tmp_path)
    path.write_bytes(good)
    assert fit(cfg, tmp_path)["steps"] == 1


def test_checkpoint_holds_no_frozen_network(tmp_path: Path, composed: Callable[..., DictConfig]) -> None:
    fit(composed("train", *ANNOTATOR, "task.steps=2"), tmp_path / "annotator")
    weights = tmp_path / "annotator" / "weights.safetensors"
    overrides = [o for o in GENERATOR if not o.startswith("discriminator")]
    projected = [f"discriminator.annotator={weights}", "discriminator.mixed=[8,8,8]"]
    fit(composed("train", *overrides, *projected, "discriminator.width=8"), tmp_path / "generator")
    state = torch.load(tmp_path / "generator" / "checkpoint.pt", weights_only=True)
    assert set(state["parts"]) == {"generator", "mean", "discriminator", "adam", "adam_discriminator"}
    names = set(state["parts"]["discriminator"])
    assert names and all(name.startswith(("heads.", "channels", "scales")) for name in names)
    assert state["config"]["discriminator"]["annotator"] == str(weights)


def test_annotator_learns_and_loads(tmp_path: Path, composed: Callable[..., DictConfig]) -> None:
    cfg = composed("train", *ANNOTATOR, "logger=csv")
    result = fit(cfg, tmp_path)
    rows = [line.split(",") for line in (tmp_path / "log" / "metrics.csv").read_text().splitlines()]
    losses = [float(value) for _, name, value in rows[1:] if name == "train/classes"]
    assert losses[-1] < 0.9 * losses[0]
    assert {"mean_iou", "iou/sky", "r2/season", "accuracy/is_chapel"} <= set(result["scores"])
    network, vocabulary = load_annotator(tmp_path / "weights.safetensors")
    images = Cottages(3, resolution=16).read(range(3)).images
    said = network(images)
    assert said.logits.shape == (3, len(vocabulary.classes), 16, 16)
    alone = network(images[:1])
    torch.testing.assert_close(said.factors[:1], alone.factors, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", [4, 8])
def test_path_lengths_do_not_depend_on_the_number_of_pixels(
    side: int, tiny: StyleGAN2, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where w moves each pixel alike, by 3, the length is 3, whatever the size."""

    def synthesize(latent: torch.Tensor, space: str, noise: str) -> torch.Tensor:
        pixels = 3 * latent.sum(dim=1).view(-1, 1, 4, 4)
        return torch.nn.functional.interpolate(pixels, size=(side, side)) * (4 / side)  # as much energy in more pixels

    awake = copy.deepcopy(tiny).requires_grad_(True)
    monkeypatch.setattr(awake, "synthesize", synthesize)
    lengths = path_lengths(awake, 64, stream("path", 0)).detach() * (side / 4)
    assert lengths.mean().item() == pytest.approx(3, rel=0.1)


def test_stream_is_a_function_of_the_step() -> None:
    data = Cottages(10, resolution=8)
    whole = [batch["images"] for batch in Stream(data, 4, 0, 6)]
    tail = [batch["images"] for batch in Stream(data, 4, 3, 6)]
    assert all(torch.equal(a, b) for a, b in zip(whole[3:], tail, strict=True))
    stream = Stream(data, 4, 0, 6)
    assert stream.indices(0) != stream.indices(2)
    assert len({*stream.indices(0), *stream.indices(1)}) == 8
    with pytest.raises(ValueError, match="task.batch"):
        Stream(data, 11, 0, 1)


@pytest.mark.slow
def test_score_tells_the_world_from_noise(tiny: StyleGAN2) -> None:
    class World(AbstractGenerator):
        """A 'generator' that draws other cottages of the same world."""

        spaces, noise_shapes = {"z": ()}, {}

        def lift(self, latent: torch.Tensor, source: str, target: str) -> torch.Tensor:
            return latent

        def layer(self, name: str) -> torch.nn.Module:
            return self

        def sample(self, n: int, rng: torch.Generator, *_: object) -> torch.Tensor:
            return torch.randint(10_000, (n,), generator=rng).float()

        def forward(self, latent: torch.Tensor, *_: object) -> torch.Tensor:
            return Cottages(10_000, "train", 16).read(latent.int().tolist()).images

    network, vocabulary = load_annotator("annotator64")
    data = Cottages(60, "test", 16)
    same = score(World(), data, network, vocabulary)
    noise = score(tiny, data, network, vocabulary)
    assert same["presence_largest_gap"] < 0.3 < noise["presence_largest_gap"]
    assert same["kid"]["value"] < noise["kid"]["value"] / 10
    assert 0.9 < same["diversity/ratio"] < 1.1
